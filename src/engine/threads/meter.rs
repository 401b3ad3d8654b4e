//! Passes gathered into samples: how long they took, and what the system says of that time.
//!
//! Invariant: a sample is of passes that came at once after each other; what lies between two replies is in none.

use std::time::{Duration, Instant};

use super::giving_way::{Sample, Share};

/// A sample is at least so long.
const SPAN: Duration = Duration::from_millis(100);
/// With so long between them, two passes are of different times.
const APART: Duration = Duration::from_millis(50);
/// A thread that had less than this part of the time is no compute thread.
const COMPUTES: f64 = 0.05;
/// The unit of `/proc/stat`: `USER_HZ`, 100 on every Linux.
const TICK: f64 = 0.01;

/// What has been measured since the last sample.
#[derive(Debug, Default)]
pub struct Meter {
    from: Option<Mark>,
    pass: Option<Instant>,
    last: Option<Instant>,
    steps: u32,
    steps_took: Duration,
}

/// A moment, and what the system said then.
#[derive(Debug)]
struct Mark {
    at: Instant,
    tasks: Vec<Task>,
    idle: Option<f64>,
}

/// A thread's time so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Task {
    id: u32,
    /// How long it ran, s.
    ran: f64,
    /// How long it was ready and did not run, s.
    waited: f64,
}

impl Meter {
    /// A pass begins; whether nothing is known of this time yet.
    pub fn begin(&mut self, now: Instant, idle: bool) -> bool {
        let anew = self.last.is_none_or(|last| now - last > APART);
        if anew {
            self.from = None;
        }
        if self.from.is_none() {
            self.from = Some(Mark::now(now, idle));
            (self.steps, self.steps_took) = (0, Duration::ZERO);
        }
        self.pass = Some(now);
        anew
    }

    /// It is over; a sample, where there has been enough since the last one.
    pub fn passed(&mut self, now: Instant, tokens: usize, idle: bool) -> Option<Sample> {
        self.last = Some(now);
        let (pass, from) = (self.pass.take()?, self.from.as_ref()?);
        if tokens == 1 {
            self.steps += 1;
            self.steps_took += now - pass;
        }
        let span = now - from.at;
        if span < SPAN {
            return None;
        }
        let to = Mark::now(now, idle);
        let step_ms = (self.steps > 0).then(|| 1000.0 * self.steps_took.as_secs_f32() / self.steps as f32);
        let share = share(from, &to, span.as_secs_f64());
        self.from = Some(to);
        (self.steps, self.steps_took) = (0, Duration::ZERO);
        Some(Sample { span_ms: 1000.0 * span.as_secs_f32(), step_ms, share })
    }

    /// What was measured so far is of another way to compute.
    pub fn restart(&mut self) {
        self.from = None;
    }
}

impl Mark {
    fn now(at: Instant, idle: bool) -> Self {
        Self { at, tasks: tasks(), idle: idle.then(idle_now).flatten() }
    }
}

/// Whether others want so many processors at this moment that this number of threads has no room.
#[cfg(feature = "llama")]
pub fn is_crowded(threads: u32) -> bool {
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as u32;
    let running = std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| running(&text));
    // One of those that run is the one that asks.
    running.is_some_and(|running| running.saturating_sub(1) + threads > processors)
}

/// How many threads of all programs run or are ready to, from what `/proc/loadavg` says.
fn running(loadavg: &str) -> Option<u32> {
    loadavg.split_whitespace().nth(3)?.split_once('/')?.0.parse().ok()
}

/// `None` where the system does not tell how long threads ran and waited.
fn share(from: &Mark, to: &Mark, span: f64) -> Option<Share> {
    let (mut worst, mut ran) = (0.0_f64, 0.0);
    for task in &to.tasks {
        let before = from.tasks.iter().find(|before| before.id == task.id).copied().unwrap_or_default();
        let (had, waited) = (task.ran - before.ran, task.waited - before.waited);
        ran += had;
        if had + waited > COMPUTES * span {
            worst = worst.max(waited / (had + waited));
        }
    }
    let idle = from.idle.zip(to.idle).map(|(from, to)| ((to - from) / span).max(0.0) as f32);
    (ran > 0.0).then_some(Share { waited: worst as f32, got: (ran / span) as f32, idle })
}

/// This process's threads; none where the system does not tell.
fn tasks() -> Vec<Task> {
    let Ok(folder) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    let task = |entry: std::fs::DirEntry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let (ran, waited) = schedstat(&std::fs::read_to_string(entry.path().join("schedstat")).ok()?)?;
        Some(Task { id, ran, waited })
    };
    folder.filter_map(|entry| task(entry.ok()?)).collect()
}

/// Seconds on a processor and seconds in the queue, from a `schedstat` file.
fn schedstat(text: &str) -> Option<(f64, f64)> {
    let mut numbers = text.split_whitespace().map(str::parse::<u64>);
    let (ran, waited) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((ran as f64 / 1e9, waited as f64 / 1e9))
}

/// Seconds that the processors which this process may use have had nothing to do so far, all together.
fn idle_now() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    idle(&std::fs::read_to_string("/proc/stat").ok()?, allowed)
}

/// As [`idle_now`], from what `/proc/stat` says and a list like `0-3,8`.
fn idle(stat: &str, allowed: &str) -> Option<f64> {
    let mut sum = None;
    for line in stat.lines() {
        let mut words = line.split_whitespace();
        let Some(number) = words.next().and_then(|name| name.strip_prefix("cpu")?.parse::<u32>().ok()) else {
            continue;
        };
        // user, nice, system, idle, iowait
        let ticks: Vec<u64> = words.take(5).map_while(|word| word.parse().ok()).collect();
        if is_listed(allowed, number) {
            *sum.get_or_insert(0.0) += TICK * ticks.get(3..5)?.iter().sum::<u64>() as f64;
        }
    }
    sum
}

/// Whether a list like `0-3,8` holds a number.
fn is_listed(list: &str, number: u32) -> bool {
    list.trim().split(',').any(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        from.parse().is_ok_and(|from: u32| from <= number) && to.parse().is_ok_and(|to: u32| number <= to)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at: Instant, tasks: &[(u32, f64, f64)], idle: Option<f64>) -> Mark {
        let tasks = tasks.iter().map(|&(id, ran, waited)| Task { id, ran, waited }).collect();
        Mark { at, tasks, idle }
    }

    #[test]
    fn what_the_system_says_is_read() {
        assert_eq!(schedstat("1500000000 250000000 17\n"), Some((1.5, 0.25)));
        assert_eq!(schedstat(""), None);
        assert_eq!(running("0.40 2.10 1.97 3/161 4361\n"), Some(3));
        assert_eq!((running(""), running("1 2 3 4 5")), (None, None));
        let stat = "cpu  10 0 0 700 60 0 0 0 0 0\ncpu0 5 0 0 300 10 0 0 0 0 0\ncpu1 5 0 0 400 50 0 0 0 0 0\n\
                    intr 5 0\nctxt 3\n";
        assert_eq!(idle(stat, "\t0-1\n").map(f64::round), Some(8.0));
        assert_eq!(idle(stat, "1").map(|idle| (100.0 * idle).round()), Some(450.0));
        assert_eq!(idle("", "0-1"), None);
        assert_eq!(idle("cpu0 1 2\n", "0"), None);
        assert!(is_listed("0-3,8", 8) && is_listed("0-3,8", 0) && !is_listed("0-3,8", 4));
    }

    #[test]
    fn the_worst_compute_thread_counts_and_new_threads_too() {
        let now = Instant::now();
        let from = mark(now, &[(1, 10.0, 1.0), (2, 5.0, 1.0), (3, 0.0, 0.0)], Some(3.0));
        // The third hardly ran: that it waited says nothing. The fourth began meanwhile.
        let tasks = [(1, 10.9, 1.1), (2, 5.25, 1.75), (3, 0.001, 0.009), (4, 0.5, 0.0)];
        let to = mark(now, &tasks, Some(3.5));
        let share = share(&from, &to, 1.0).unwrap();
        assert!((share.waited - 0.75).abs() < 1e-3, "{share:?}");
        assert!((share.got - 1.651).abs() < 1e-3, "{share:?}");
        assert_eq!(share.idle, Some(0.5));
        assert_eq!(super::share(&mark(now, &[], None), &mark(now, &[], None), 1.0), None);
    }

    #[test]
    fn passes_far_apart_are_in_no_sample_together() {
        let mut meter = Meter::default();
        let mut now = Instant::now();
        let ms = Duration::from_millis;
        let mut pass = |meter: &mut Meter, took: u64, then: u64, tokens: usize| {
            meter.begin(now, false);
            let sample = meter.passed(now + ms(took), tokens, false);
            now += ms(took + then);
            sample
        };
        assert_eq!(pass(&mut meter, 60, 400, 1), None);
        // The pause since the last one is no part of what is measured.
        assert_eq!(pass(&mut meter, 40, 1, 1), None);
        let sample = pass(&mut meter, 80, 1, 1).unwrap();
        assert!((sample.span_ms - 121.0).abs() < 0.1, "{sample:?}");
        assert_eq!(sample.step_ms, Some(60.0));
        assert_eq!(pass(&mut meter, 500, 1, 200).unwrap().step_ms, None);
        // Nor is what was computed in another way.
        assert_eq!(pass(&mut meter, 60, 1, 1), None);
        meter.restart();
        assert_eq!(pass(&mut meter, 60, 1, 1), None);
        assert_eq!(pass(&mut meter, 60, 1, 1).unwrap().step_ms, Some(60.0));
    }
}
