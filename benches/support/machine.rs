//! Where and when it was measured: figures without that are worth nothing.

use std::fs;

use time::OffsetDateTime;

use super::Outcome;

/// This machine, this moment, this command.
#[derive(Debug)]
pub struct Machine {
    date: String,
    cpu: String,
    cores: usize,
    memory_gib: f64,
    kernel: String,
    /// Of the last minute, at the start: what others do on the machine is in the figures.
    load: String,
    command: String,
}

impl Machine {
    /// Asks the kernel.
    ///
    /// # Errors
    /// If /proc is not there.
    pub fn of_this_run() -> Outcome<Self> {
        let now = OffsetDateTime::now_utc();
        let cpu_info = fs::read_to_string("/proc/cpuinfo")?;
        let memory_info = fs::read_to_string("/proc/meminfo")?;
        let memory_kib: f64 = field(&memory_info, "MemTotal")
            .and_then(|size| size.trim_end_matches(" kB").parse().ok())
            .unwrap_or_default();
        let own_args: Vec<String> = std::env::args()
            .skip(1)
            .filter(|arg| arg != "--bench")
            .collect();
        let separator = if own_args.is_empty() { "" } else { " -- " };
        Ok(Self {
            date: format!(
                "{:04}-{:02}-{:02} {:02}:{:02} UTC",
                now.year(),
                u8::from(now.month()),
                now.day(),
                now.hour(),
                now.minute()
            ),
            cpu: field(&cpu_info, "model name")
                .unwrap_or("unknown CPU")
                .into(),
            cores: std::thread::available_parallelism()?.get(),
            memory_gib: memory_kib / (1024.0 * 1024.0),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?
                .trim()
                .into(),
            load: fs::read_to_string("/proc/loadavg")?
                .split_whitespace()
                .next()
                .unwrap_or("?")
                .into(),
            command: format!("cargo bench --bench load{separator}{}", own_args.join(" ")),
        })
    }

    /// As lines of Markdown; `others` are facts of the benchmark, such as the version of the database.
    pub fn facts(&self, others: &[(&'static str, String)]) -> String {
        let mut facts = vec![
            ("date", self.date.clone()),
            (
                "machine",
                format!(
                    "{} x {}, {:.1} GiB, Linux {}, load average {} at the start",
                    self.cores, self.cpu, self.memory_gib, self.kernel, self.load
                ),
            ),
            ("command", format!("`{}`", self.command)),
        ];
        facts.extend_from_slice(others);
        facts
            .iter()
            .map(|(name, value)| format!("- {name}: {value}\n"))
            .collect()
    }
}

/// The value of the first `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}
