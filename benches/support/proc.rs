//! What the kernel says about a process: its memory, and the time that it took of the processors.

use std::fs;

use super::Outcome;

/// A process, by its number.
#[derive(Clone, Copy, Debug)]
pub struct Proc(pub i32);

impl Proc {
    /// The resident memory now, in KiB.
    ///
    /// # Errors
    /// If it has ended.
    pub fn resident_kib(self) -> Outcome<u64> {
        self.status_kib("VmRSS")
    }

    /// The most that it ever was.
    ///
    /// # Errors
    /// If it has ended.
    pub fn peak_kib(self) -> Outcome<u64> {
        self.status_kib("VmHWM")
    }

    /// Time that the processor has spent on all its threads, in microseconds.
    ///
    /// # Errors
    /// If it has ended.
    pub fn cpu_us(self) -> Outcome<u64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The name of the program, in brackets, may have blanks in it. Behind it the 12th and the 13th are user and kernel
        // mode, in hundredths of a second (proc_pid_stat(5)).
        let (_, fields) = text.rsplit_once(')').ok_or("no name in /proc/PID/stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).copied().unwrap_or_default().parse::<u64>();
        Ok((ticks(11)? + ticks(12)?) * 10_000)
    }

    fn status_kib(self, name: &str) -> Outcome<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let value = value.ok_or_else(|| format!("no {name} in /proc/PID/status"))?;
        Ok(value.trim().trim_end_matches(" kB").parse()?)
    }
}
