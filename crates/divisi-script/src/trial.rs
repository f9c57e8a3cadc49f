//! A task whose result functions of the script check.
//!
//! For the engine each rung of its ladder is a separate task: it does not know the functions. Their
//! findings are appended to the next prompt, with the same wording as for the engine's own checks.

use crate::TaskAnswer;
use divisi_core::check::{Ladder, refused};
use divisi_core::climb::{Climb, climb};
use divisi_core::{FailureClass, PicoUsd, Task};

/// Tries of a task with a single model, which may mend the findings.
const TRIES_ON_ONE_MODEL: usize = 2;

/// The tries of one task, in sequence.
pub(crate) struct Trial {
    task: Task,
    /// Rung of the try under way, or of the last one.
    rung: Option<usize>,
    attempts: u32,
    cost: PicoUsd,
    answer: Option<TaskAnswer>,
}

impl Trial {
    pub(crate) fn new(task: Task) -> Self {
        Self {
            task,
            rung: None,
            attempts: 0,
            cost: PicoUsd::ZERO,
            answer: None,
        }
    }

    /// The task as the script requested it.
    pub(crate) fn task(&self) -> &Task {
        &self.task
    }

    /// The first try.
    pub(crate) fn begin(&mut self) -> Task {
        self.on(0, None)
    }

    /// The next try, with the findings about the last result. `None` if no stronger model is left:
    /// the task has failed.
    pub(crate) fn go_on(&mut self, findings: &str) -> Option<Task> {
        match climb(
            self.rung.unwrap_or_default(),
            self.tries_max(),
            false,
            false,
        ) {
            Climb::Next(rung) => Some(self.on(rung, Some(findings))),
            Climb::Fail | Climb::Keep | Climb::Accept => {
                let first = findings
                    .lines()
                    .map(str::trim)
                    .find(|line| !line.is_empty());
                let model = self.answer.take().and_then(|answer| answer.model);
                let failed = TaskAnswer::failed(FailureClass::Check, first.unwrap_or_default());
                self.answer = Some(TaskAnswer { model, ..failed });
                None
            }
        }
    }

    /// Records how a try ended.
    pub(crate) fn answered(&mut self, answer: TaskAnswer) {
        self.attempts = self.attempts.saturating_add(answer.attempts);
        self.cost += answer.cost;
        self.answer = Some(answer);
    }

    /// Attempts and cost of all tries.
    pub(crate) fn spent(&self) -> (u32, PicoUsd) {
        (self.attempts, self.cost)
    }

    /// How the task ended.
    pub(crate) fn end(&self) -> TaskAnswer {
        let ended = self.answer.clone().unwrap_or_else(TaskAnswer::cancelled);
        TaskAnswer {
            attempts: self.attempts,
            cost: self.cost,
            ..ended
        }
    }

    fn tries_max(&self) -> usize {
        match self.task.model.0.len() {
            0 | 1 => TRIES_ON_ONE_MODEL,
            rungs => rungs,
        }
    }

    fn on(&mut self, rung: usize, findings: Option<&str>) -> Task {
        self.rung = Some(rung);
        let mut task = Task {
            model: self.models(rung),
            ..self.task.clone()
        };
        task.max_cost = task.max_cost.map(|most| most.saturating_sub(self.cost));
        if let Some(findings) = findings {
            task.prompt = format!("{}\n\n{}", task.prompt, refused(findings)).into();
            task.label = Some(format!("{} (try {})", self.task.title(), rung + 1).into());
        }
        task
    }

    /// The models of one try. With the engine's own checks it may climb from there.
    fn models(&self, rung: usize) -> Ladder {
        let models = &self.task.model.0;
        match models.get(rung..) {
            Some([first, ..]) if self.task.check.is_empty() => first.clone().into(),
            Some(rest @ [_, ..]) => Ladder(rest.to_vec()),
            Some([]) | None => self.task.model.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_core::check::Check;

    fn task(models: &[&str]) -> Task {
        Task {
            model: Ladder(models.iter().map(|model| (*model).into()).collect()),
            ..Task::new("work")
        }
    }

    /// The models of every try of a task that is always refused.
    fn climbed(task: Task) -> Vec<Vec<String>> {
        let mut trial = Trial::new(task);
        let mut next = Some(trial.begin());
        let mut tried = vec![];
        while let Some(task) = next {
            tried.push(task.model.0.iter().map(ToString::to_string).collect());
            trial.answered(TaskAnswer {
                cost: PicoUsd(3),
                ..TaskAnswer::ok("1")
            });
            next = trial.go_on("bad");
        }
        assert_eq!(trial.end().attempts as usize, tried.len());
        assert_eq!(trial.end().cost, PicoUsd(3 * tried.len() as u64));
        tried
    }

    #[test]
    fn every_rung_is_tried_once_and_one_model_twice() {
        assert_eq!(
            climbed(task(&["haiku", "sonnet", "opus"])),
            [["haiku"], ["sonnet"], ["opus"]]
        );
        assert_eq!(climbed(task(&["opus"])), [["opus"], ["opus"]]);
        assert_eq!(climbed(task(&[])), [[""; 0]; 2]);
    }

    #[test]
    fn checks_of_the_engine_climb_what_is_left_of_the_ladder() {
        let task = Task {
            check: vec![Check::Command("test".into())],
            ..task(&["haiku", "opus"])
        };
        assert_eq!(climbed(task), [vec!["haiku", "opus"], vec!["opus"]]);
    }

    #[test]
    fn what_was_spent_is_taken_off_its_own_budget() {
        let mut trial = Trial::new(Task {
            max_cost: Some(PicoUsd(10)),
            ..task(&["haiku"])
        });
        assert_eq!(trial.begin().max_cost, Some(PicoUsd(10)));
        trial.answered(TaskAnswer {
            cost: PicoUsd(4),
            ..TaskAnswer::ok("1")
        });
        assert_eq!(trial.go_on("bad").unwrap().max_cost, Some(PicoUsd(6)));
    }
}
