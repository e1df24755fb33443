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
        Ok(self.ticks(&[11, 12])? * 10_000)
    }

    /// The sum of fields of `/proc/PID/stat` that count hundredths of a second (proc_pid_stat(5)), numbered from behind the name:
    /// 11 and 12 are user and kernel mode, 13 and 14 those of children that have ended.
    fn ticks(self, at: &[usize]) -> Outcome<u64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The name of the program, in brackets, may have blanks in it.
        let (_, fields) = text.rsplit_once(')').ok_or("no name in /proc/PID/stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let mut sum = 0;
        for at in at {
            sum += fields
                .get(*at)
                .copied()
                .unwrap_or_default()
                .parse::<u64>()?;
        }
        Ok(sum)
    }

    /// The same of this process, its children that have ended, and its children that run: of a whole PostgreSQL, when this is
    /// its first process. A child that ends in between is counted once.
    ///
    /// # Errors
    /// If it has ended.
    pub fn family_cpu_us(self) -> Outcome<u64> {
        let mut total = self.ticks(&[11, 12, 13, 14])?;
        let children = format!("/proc/{0}/task/{0}/children", self.0);
        for child in fs::read_to_string(children)?.split_whitespace() {
            // One that has just ended is in the first sum the next time.
            total += Self(child.parse()?).ticks(&[11, 12]).unwrap_or_default();
        }
        Ok(total * 10_000)
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
