//! Errors in plans.

/// Why tasks do not make a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The value does not have the form of a plan.
    #[error("the plan cannot be read: {message}")]
    Malformed {
        /// What is wrong, and where.
        message: String,
    },
    /// There are no tasks.
    #[error("the plan has no tasks")]
    Empty,
    /// There are too many tasks.
    #[error("the plan has {tasks} tasks, {tasks_max} are allowed")]
    TooLong {
        /// Number of tasks.
        tasks: usize,
        /// Largest number of tasks.
        tasks_max: usize,
    },
    /// A task has no id, or one that cannot be referred to.
    #[error("task {place} has the id `{}`, which is no name", shortened(id))]
    BadId {
        /// Index of the task.
        place: usize,
        /// The id as written.
        id: String,
    },
    /// Two tasks have the same id.
    #[error("two tasks have the id `{id}`")]
    SameId {
        /// The id.
        id: String,
    },
    /// The prompt of a task is empty.
    #[error("task `{task}` has an empty prompt")]
    EmptyPrompt {
        /// Id of the task.
        task: String,
    },
    /// A task asks a person and has options of an agent.
    #[error("task `{task}` asks a person, and has options that only an agent has")]
    QuestionWithWork {
        /// Id of the task.
        task: String,
    },
    /// A task needs one that is not in the plan.
    #[error("task `{task}` needs `{}`, which is not in the plan", shortened(need))]
    UnknownNeed {
        /// Id of the task.
        task: String,
        /// Id of the missing task.
        need: String,
        /// All ids, sorted.
        known: Vec<String>,
    },
    /// A cap for a phase without tasks: it would have no effect.
    #[error("the phase `{phase}` has a cap, and no task is in it")]
    UnknownPhase {
        /// Its title.
        phase: String,
        /// The phases of the tasks, sorted.
        known: Vec<String>,
    },
    /// A phase has two caps.
    #[error("the phase `{phase}` has two caps")]
    SamePhase {
        /// Its title.
        phase: String,
    },
    /// A task needs its own result.
    #[error("task `{task}` needs itself")]
    NeedsItself {
        /// Id of the task.
        task: String,
    },
    /// Tasks wait for each other.
    #[error("tasks wait for each other: {}", path(.0))]
    Cycle(
        /// Their ids: each needs the next one, and the last needs the first.
        Vec<String>,
    ),
}

impl PlanError {
    /// What the author can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Malformed { .. } => Some(
                "a plan is {\"tasks\": [{\"id\": …, \"prompt\": …, \"needs\": […]}]}".to_owned(),
            ),
            Self::Empty => Some("name at least one task".to_owned()),
            Self::TooLong { .. } => Some("split the plan, or write a script that loops".to_owned()),
            Self::BadId { .. } => {
                Some("an id has letters, digits, `-` and `_`, 64 at most".to_owned())
            }
            Self::SameId { .. } => Some("give each task an id of its own".to_owned()),
            Self::EmptyPrompt { .. } => None,
            Self::QuestionWithWork { .. } => Some(
                "besides `approve` it has `id`, `needs`, `label` and `phase`; make a task of its own of the rest"
                    .to_owned(),
            ),
            Self::UnknownNeed { known, .. } => Some(format!("the ids are {}", some_of(known))),
            Self::UnknownPhase { known, .. } if known.is_empty() => {
                Some("say of tasks which `phase` they are in".to_owned())
            }
            Self::UnknownPhase { known, .. } => Some(format!("tasks are in {}", some_of(known))),
            Self::SamePhase { .. } => Some("keep one of them".to_owned()),
            Self::NeedsItself { task } => Some(format!(
                "take `{task}` out of its `needs` and `{{{{{task}}}}}` out of its prompt"
            )),
            Self::Cycle(_) => Some("take out the need that matters least".to_owned()),
        }
    }
}

/// The beginning of a text of any length.
fn shortened(id: &str) -> &str {
    const BYTES_MAX: usize = 80;
    &id[..id.floor_char_boundary(BYTES_MAX)]
}

fn path(ids: &[String]) -> String {
    ids.iter()
        .chain(ids.first())
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" → ")
}

/// The first ids of a list of any length.
fn some_of(ids: &[String]) -> String {
    const SHOWN_MAX: usize = 12;
    let shown = ids
        .iter()
        .take(SHOWN_MAX)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match ids.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
