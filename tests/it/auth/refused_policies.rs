//! `plank.allow` refuses what could not be followed. It reads a filter as the server does.

use plank::feed::filter::parse::parse;

use super::Secure;

#[actix_rt::test]
async fn a_policy_that_could_not_be_followed_is_refused_and_the_mistake_named() {
    let app = Secure::start().await;
    app.execute(
        "create type mood as enum ('sad', 'ok');
         create table things (id int primary key, owner text, tenant int, at timestamptz, done bool, mood mood, secret text);
         select plank.watch('things', columns => '{id,owner,tenant,at,done,mood}')",
    )
    .await;
    for (rows, part) in [
        ("ownr=eq.{sub}", "has no column ownr"),
        ("Owner=eq.{sub}", "has no column \"Owner\""),
        ("or=(id.eq.1,nope.eq.2)", "has no column nope"),
        (
            "secret=eq.{sub}",
            "the column secret of public.things is hidden",
        ),
        ("or=(id.eq.1,not.and(secret.is.null,id.gt.2))", "is hidden"),
        ("owner=eq.{claims.x}", "there is no {claims.x}"),
        ("owner=eq.{user}", "there is no {user}"),
        ("owner=eq.{claim.}", "there is no {claim.}"),
        ("owner=eq.{sub", "has a brace"),
        ("owner=eq.{}", "has a brace"),
        ("owner=in.(a,{who})", "there is no {who}"),
        ("owner={sub}", "there is no operator"),
        ("owner=eq", "a dot and a value are missing"),
        ("owner=equals.x", "there is no operator"),
        ("owner", "there is no operator"),
        ("owner=is.{sub}", "is takes null, true or false"),
        ("owner=is.true", "is for boolean columns"),
        ("owner=in.x", "( is missing behind in"),
        ("owner=in.(a", ", or ) is missing"),
        ("owner=in.(\"a)", "the quote is never closed"),
        ("owner=in.(a)b", "more behind the end"),
        ("or=id.eq.1", "( is missing behind or="),
        ("or=()", "a condition is missing"),
        ("or=(id.eq.1", ", or ) is missing"),
        ("or=(id.eq.1))", "more behind the end"),
        ("and=(id.eq.1,)", "a condition is missing"),
        ("owner=eq.%ff", "is not percent-decoded"),
        ("&", "rows has no condition"),
        ("tenant=eq.x", "''x'' does not fit the column tenant"),
        ("tenant=in.(1,x)", "''x'' does not fit"),
        ("at=gt.yesterday-ish", "does not fit the column at"),
        ("mood=eq.happy", "''happy'' does not fit the column mood"),
    ] {
        let sql = format!("select plank.allow('things', 'viewer', '{rows}')");
        let error = app.sql.batch_execute(&sql).await.expect_err(rows);
        let text = error.as_db_error().unwrap().message().to_owned();
        assert!(text.starts_with("plank: "), "{rows}: {text}");
        assert!(text.contains(&part.replace("''", "'")), "{rows}: {text}");
    }
    let deep = format!("or=({}id.eq.1{})", "and(".repeat(20), ")".repeat(20));
    let many = vec!["id=eq.1"; 101].join("&");
    for rows in [deep, many] {
        let sql = format!("select plank.allow('things', 'viewer', '{rows}')");
        assert!(app.sql.batch_execute(&sql).await.is_err());
    }
    for rows in [
        "owner=eq.{sub}",
        "owner=not.eq.{claim.org.id}",
        "owner=in.({claim.names})",
        "tenant=in.(1,{claim.t},3)",
        "tenant=in.()",
        "or=(owner.eq.\"a,b)\",and(tenant.gt.1,not.or(done.is.true,mood.eq.ok)),owner.like.*x*)",
        "not.or=(done.is.null,id.lt.0)&at=gt.2026-01-01",
        "owner=eq.a%26b+c%7Bx",
        "\"owner\"=eq.x",
    ] {
        let sql = format!("select plank.allow('things', 'viewer', '{rows}')");
        let done = app.sql.batch_execute(&sql).await;
        let expected = !matches!(rows, "\"owner\"=eq.x" | "owner=eq.a%26b+c%7Bx");
        assert_eq!(done.is_ok(), expected, "{rows}: {done:?}");
    }
}

/// Two readers of one grammar: whatever one refuses the other has to refuse.
#[actix_rt::test]
async fn sql_and_the_server_read_the_same_grammar() {
    let app = Secure::start().await;
    let parts = [
        "a", "b", "=", "eq", ".", "in", "is", "not.", "(", ")", ",", "&", "or", "and", "\"",
        "null", "like", "x", "%28", "+",
    ];
    let mut random = fastrand::Rng::with_seed(16);
    let (mut good, mut bad) = (0, 0);
    let statement = "select col, op, list from plank.read_filter($1)";
    let statement = app.sql.prepare(statement).await.unwrap();
    for round in 0..3_000 {
        let text: String = match round % 3 {
            0 => {
                let n = random.usize(1..12);
                (0..n).map(|_| parts[random.usize(..parts.len())]).collect()
            }
            _ => {
                // A good one with a mistake.
                let good = "or=(a.eq.x,not.and(b.in.(x,\"y,z\"),a.is.null),b.not.like.x)&a=not.in.(x)&not.and=(b.gt.1)";
                let mut text = good.to_owned();
                if random.bool() {
                    let at = random.usize(..good.len());
                    match random.bool() {
                        true => drop(text.remove(at)),
                        false => text.insert_str(at, parts[random.usize(..parts.len())]),
                    }
                }
                text
            }
        };
        let server = parse(&text);
        let sql = app.sql.query(&statement, &[&text]).await;
        let server_reads = matches!(&server, Ok(Some(_)));
        assert_eq!(server_reads, sql.is_ok(), "{text}: {server:?} {sql:?}");
        if let (Ok(Some(expr)), Ok(rows)) = (&server, &sql) {
            good += 1;
            let leaves = expr.leaves();
            let leaves: Vec<(&str, &[String])> = leaves.iter().map(|l| l.parts()).collect();
            let mut read: Vec<(String, Vec<String>)> =
                rows.iter().map(|r| (r.get(0), r.get(2))).collect();
            for (row, read) in rows.iter().zip(&mut read) {
                if row.get::<_, String>(1) == "is" {
                    read.1.clear();
                }
            }
            let read: Vec<(&str, &[String])> = read
                .iter()
                .map(|(column, list)| (column.as_str(), list.as_slice()))
                .collect();
            assert_eq!(leaves, read, "{text}");
        } else {
            bad += 1;
        }
    }
    assert!(good > 300 && bad > 300, "{good} {bad}");
}
