//! What a person sees on stderr while a statement takes its time.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Faster statements show nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// The progress of one statement. It disappears when dropped.
#[derive(Debug)]
pub(super) struct Progress {
    enabled: bool,
    started: Instant,
    rows: u64,
    rows_expected: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn start(enabled: bool) -> Self {
        Self {
            enabled,
            started: Instant::now(),
            rows: 0,
            rows_expected: None,
            bar: None,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// How many rows will come; without that there is no bar but a count.
    pub(super) fn expect_rows(&mut self, rows: Option<u64>) {
        self.rows_expected = rows.filter(|rows| *rows > 0);
        // What is shown already has no room for it.
        self.clear();
    }

    pub(super) fn add_rows(&mut self, rows: usize) {
        self.rows += u64::try_from(rows).unwrap_or_default();
    }

    /// Shows it, if it is time to.
    pub(super) fn tick(&mut self) {
        if !self.enabled || self.elapsed() < PATIENCE {
            return;
        }
        let (rows_expected, elapsed) = (self.rows_expected, self.elapsed());
        let bar = self.bar.get_or_insert_with(|| draw(rows_expected, elapsed));
        bar.set_position(self.rows);
        bar.tick();
    }

    /// Takes it off the screen, before something else is printed there.
    pub(super) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Takes it off the screen for good.
    pub(super) fn stop(&mut self) {
        self.clear();
        self.enabled = false;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

fn draw(rows_expected: Option<u64>, elapsed: Duration) -> ProgressBar {
    let template = match rows_expected {
        Some(_) => "{spinner} {elapsed_precise} [{wide_bar}] {human_pos} of {human_len} rows",
        None => "{spinner} {elapsed_precise} {human_pos} rows received",
    };
    let bar =
        ProgressBar::with_draw_target(rows_expected, ProgressDrawTarget::stderr()).with_elapsed(elapsed);
    // The templates above are correct; were they not, the default is as good.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.progress_chars("=> "))
}

/// How long a statement took, as the timing line says it.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds >= 60 {
        format!("{} min {:04.1} s", seconds / 60, time.as_secs_f64() % 60.0)
    } else if seconds >= 1 {
        format!("{:.3} s", time.as_secs_f64())
    } else {
        format!("{:.3} ms", time.as_secs_f64() * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration(Duration::from_micros(12_345)), "12.345 ms");
        assert_eq!(duration(Duration::from_millis(1_234)), "1.234 s");
        assert_eq!(duration(Duration::from_millis(125_400)), "2 min 05.4 s");
    }

    #[test]
    fn nothing_shows_before_its_time() {
        let mut progress = Progress::start(true);
        progress.tick();
        assert!(progress.bar.is_none());
        progress.started -= PATIENCE;
        progress.tick();
        assert!(progress.bar.is_some());
        progress.stop();
        progress.tick();
        assert!(progress.bar.is_none());
    }
}
