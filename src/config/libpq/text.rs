//! The two forms of a connection string: a URL, and `key=value` pairs.

use super::Parameters;

impl Parameters {
    /// `[user[:password]@][host[:port][,...]][/dbname][?name=value[&...]]`, each part percent-encoded.
    pub(super) fn read_url(&mut self, rest: &str) -> Result<(), String> {
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (login, rest) = match rest.split_once('@') {
            Some((login, rest)) if !login.contains('/') => (Some(login), rest),
            _ => (None, rest),
        };
        if let Some(login) = login {
            let (user, password) = match login.split_once(':') {
                Some((user, password)) => (user, Some(password)),
                None => (login, None),
            };
            self.set("user", decode(user, "user")?)?;
            if let Some(password) = password {
                self.set("password", decode(password, "password")?)?;
            }
        }
        let (hosts, database) = match rest.split_once('/') {
            Some((hosts, database)) => (hosts, Some(database)),
            None => (rest, None),
        };
        let (mut names, mut ports) = (Vec::new(), Vec::new());
        for host in hosts.split(',') {
            let (name, port) = match host.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
                Some((address, port)) => (address, port.strip_prefix(':')),
                None if host.starts_with('[') => {
                    return Err("has an address in brackets that are not closed".into());
                }
                None => match host.split_once(':') {
                    Some((name, port)) => (name, Some(port)),
                    None => (host, None),
                },
            };
            names.push(decode(name, "host")?);
            ports.push(port.unwrap_or_default().to_owned());
        }
        if names.iter().any(|name| !name.is_empty()) {
            self.set("host", names.join(","))?;
        }
        if ports.iter().any(|port| !port.is_empty()) {
            self.set("port", ports.join(","))?;
        }
        if let Some(database) = database.filter(|name| !name.is_empty()) {
            self.set("dbname", decode(database, "database")?)?;
        }
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair
                .split_once('=')
                .ok_or("has a parameter without a value behind the question mark")?;
            let name = decode(name, "name of a parameter")?;
            let value = decode(value, &name)?;
            self.set(&name, value)?;
        }
        Ok(())
    }

    /// `name = value` pairs, values in single quotes where they have blanks.
    pub(super) fn read_pairs(&mut self, text: &str) -> Result<(), String> {
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (name, after) = rest
                .split_once('=')
                .ok_or("has a word without a value; write it as name=value, or as postgresql://USER@HOST/DATABASE")?;
            let (value, left) = pair_value(after.trim_start())?;
            self.set(name.trim(), value)?;
            rest = left.trim_start();
        }
        Ok(())
    }
}

/// The value at the beginning of the text, and what follows it.
fn pair_value(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let is_quoted = text.starts_with('\'');
    let mut chars = text.char_indices().skip(is_quoted.into());
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            '\'' if is_quoted => return Ok((value, &text[at + 1..])),
            c if c.is_whitespace() && !is_quoted => return Ok((value, &text[at..])),
            c => value.push(c),
        }
    }
    match is_quoted {
        true => Err("has a quote that is not closed".into()),
        false => Ok((value, "")),
    }
}

/// Percent-encoding. A plus is a plus, as in libpq.
pub(in crate::config) fn decode(text: &str, what: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => bytes.push((high * 16 + low) as u8),
            _ => {
                return Err(format!(
                    "has a percent sign in the {what} that begins no code; write it as %25"
                ));
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| format!("has a {what} that is not UTF-8"))
}
