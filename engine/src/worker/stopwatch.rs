//! How long the model takes for what people wait for, measured while it works for them.

use std::time::{Duration, Instant};

/// How long a model takes here; none where it was not yet done twice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// A look at a picture.
    pub look: Option<Duration>,
    /// A mask for clicks on a picture that was looked at.
    pub click: Option<Duration>,
    /// An object on a frame of a video: its share of those that are tracked at once.
    pub frame: Option<Duration>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Stopwatch {
    pub look: Average,
    pub click: Average,
    pub frame: Average,
    told: Option<(Instant, Times)>,
}

impl Stopwatch {
    /// How long things take, if that is news and not the second within a second.
    pub(super) fn news(&mut self) -> Option<Times> {
        let times = Times { look: self.look.value, click: self.click.value, frame: self.frame.value };
        let is_news = match &self.told {
            Some((at, told)) => *told != times && at.elapsed() > Duration::from_secs(1),
            None => times != Times::default(),
        };
        if is_news {
            self.told = Some((Instant::now(), times));
        }
        is_news.then_some(times)
    }
}

/// The average of what was measured last.
#[derive(Default)]
pub(super) struct Average {
    /// Whether it was done once; the first time includes what is made ready on first use, and does not count.
    is_ready: bool,
    value: Option<Duration>,
}

impl Average {
    /// Runs `work`; `n_done` tells of what it made how often it did what is measured.
    pub(super) fn measure<T>(&mut self, work: impl FnOnce() -> T, n_done: impl FnOnce(&T) -> usize) -> T {
        let start = Instant::now();
        let made = work();
        let n_done = n_done(&made);
        if n_done > 0 {
            self.add(start.elapsed().div_f64(n_done as f64));
        }
        made
    }

    fn add(&mut self, took: Duration) {
        /// Of what is measured now.
        const WEIGHT: f64 = 0.2;
        if std::mem::replace(&mut self.is_ready, true) {
            let before = self.value.unwrap_or(took);
            self.value = Some(before.mul_f64(1.0 - WEIGHT) + took.mul_f64(WEIGHT));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_does_not_count_and_later_ones_are_averaged() {
        let mut watch = Stopwatch::default();
        watch.look.add(Duration::from_secs(9));
        assert_eq!(watch.news(), None);
        watch.look.add(Duration::from_millis(100));
        assert_eq!(watch.news().unwrap().look, Some(Duration::from_millis(100)));
        assert_eq!(watch.news(), None);
        for _ in 0..100 {
            watch.look.add(Duration::from_millis(200));
        }
        let average = watch.look.value.unwrap();
        assert!(average > Duration::from_millis(199) && average <= Duration::from_millis(200));
    }

    #[test]
    fn what_was_not_done_is_not_measured() {
        let mut average = Average::default();
        assert_eq!(average.measure(|| 1, |_| 0), 1);
        assert!(!average.is_ready);
        assert_eq!(average.measure(|| 2, |made| *made), 2);
        assert!(average.is_ready);
    }
}
