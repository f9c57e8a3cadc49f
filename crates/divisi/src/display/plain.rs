//! The display without a terminal: one line after another.

use super::look::{Line, Look, Tone};
use super::news::{Detail, News};
use super::number;
use super::progress::{Progress, Work};
use divisi_core::{Event, Millis, Recorded, Timestamp};

/// The display without a terminal.
pub(crate) struct PlainView {
    look: Look,
    news: News,
    /// When progress was last shown, and how many tasks had ended then.
    said_at: Timestamp,
    said_ended: u32,
}

impl PlainView {
    /// With more tasks, progress is summed up instead of shown task by task, which would be more
    /// lines than a user reads in a log.
    const TOLD_ONE_BY_ONE_MAX: u32 = 200;
    /// Progress is shown each time one part in this many of the tasks has ended …
    const SHARE: u32 = 20;
    /// … and after this time, if a task has ended since.
    const SAID_EVERY: Millis = Millis(10_000);

    /// A display without lines yet.
    pub(crate) fn new(look: Look) -> Self {
        Self {
            look,
            news: News::default(),
            said_at: Timestamp(0),
            said_ended: 0,
        }
    }

    /// The lines to be written for an event.
    pub(crate) fn event(&mut self, progress: &Progress, recorded: &Recorded) -> Vec<Line> {
        let many = progress.view.counts.total() > Self::TOLD_ONE_BY_ONE_MAX;
        let detail = if many { Detail::Notable } else { Detail::Every };
        let mut lines = self.opening(progress, recorded);
        lines.extend(self.news.of(progress, recorded, detail, &self.look));
        lines = lines
            .into_iter()
            .map(|line| stamped(progress, recorded.at, line))
            .collect();
        if matches!(
            recorded.event,
            Event::TaskEnded { .. } | Event::TaskClaimed { .. }
        ) && many
        {
            lines.extend(self.sum_up(progress, recorded.at));
        }
        lines
    }

    /// The lines to be written because time has passed.
    pub(crate) fn tick(&mut self, progress: &Progress, now: Timestamp) -> Vec<Line> {
        let many = progress.view.counts.total() > Self::TOLD_ONE_BY_ONE_MAX;
        if many {
            self.sum_up(progress, now).into_iter().collect()
        } else {
            vec![]
        }
    }

    fn opening(&mut self, progress: &Progress, recorded: &Recorded) -> Vec<Line> {
        let word = match &recorded.event {
            Event::RunStarted(_) => " started",
            Event::RunResumed(_) => " resumed",
            _ => return vec![],
        };
        (self.said_at, self.said_ended) = (recorded.at, 0);
        let title = Line::of(Tone::Strong, &*progress.view.name)
            .put(Tone::Dim, format!(" {}", progress.id))
            .plain(word);
        self.look.demo_line().into_iter().chain([title]).collect()
    }

    fn sum_up(&mut self, progress: &Progress, now: Timestamp) -> Option<Line> {
        let counts = progress.view.counts;
        let Work { ended, total } = progress.work();
        let news = ended.saturating_sub(self.said_ended);
        let due =
            news >= total.div_ceil(Self::SHARE) || now.since(self.said_at) >= Self::SAID_EVERY;
        if news == 0 || !due || progress.view.execution == 0 {
            return None;
        }
        (self.said_at, self.said_ended) = (now, ended);
        let mut parts = vec![
            format!(
                "{}/{}",
                number::count(ended.into()),
                number::count(total.into())
            ),
            format!("{} ok", number::count(counts.ok.into())),
        ];
        if counts.failed > 0 {
            parts.push(format!("{} failed", number::count(counts.failed.into())));
        }
        parts.push(format!(
            "{} running",
            number::count((progress.view.under_way.len() - progress.waiting()) as u64)
        ));
        parts.push(format!(
            "{} tokens",
            number::tokens(progress.view.usage.total())
        ));
        parts.push(number::spent(progress.view.money.spent()));
        Some(stamped(
            progress,
            now,
            Line::new().plain(parts.join(self.look.dot())),
        ))
    }
}

/// The line with the time since the current execution began.
fn stamped(progress: &Progress, at: Timestamp, line: Line) -> Line {
    Line::of(
        Tone::Dim,
        format!("[{}] ", number::clock(at.since(progress.view.began_at))),
    )
    .join(line)
}
