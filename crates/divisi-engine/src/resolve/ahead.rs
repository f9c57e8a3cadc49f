//! Resolution of tasks before a run, for forecasts.

use super::{Parts, Resolver};
use crate::attempt::{Brief, opening};
use crate::executor::{Cost, Registered};
use crate::models::{AUTO, Model};
use crate::tokens;
use divisi_core::choice::Choice;
use divisi_core::event::Caps;
use divisi_core::preflight::{Assigned, AttemptCost, Rights, Rung};
use divisi_core::task::Isolation;
use divisi_core::tokens::BYTES_OF_PROSE;
use divisi_core::{Failure, FailureClass, Task};

impl Resolver {
    /// The assignment of `task`: executor, models and limits.
    pub fn assigned(&self, task: &Task) -> Result<Assigned, Failure> {
        let mut parts = self.assign(task)?;
        let choice = match parts.choice.take() {
            Some(choice) => choice,
            None => self.choose(task, parts.agent.as_deref())?,
        };
        let first = parts.models.rungs.first();
        let by_agent = parts.agent.as_deref();
        let shared = task.context.as_deref().map(|context| count(first, context));
        Ok(Assigned {
            executor: parts.executor_name.clone(),
            is_program: parts.executor.is_program(),
            writes: parts.executor.spec.writes,
            attempt_cost: self.attempt_cost(task, &parts.executor),
            kind: choice.kind.clone(),
            kind_declared: choice.declared,
            suffices: Some(choice.tier),
            why: self.why(task, &parts, &choice),
            rungs: parts
                .models
                .rungs
                .iter()
                .map(|model| self.rung(model))
                .collect(),
            checked: !task.check.is_empty(),
            prompt_tokens: self.prompt_tokens(task, &parts),
            shared_tokens: shared.unwrap_or_default(),
            has_tools: first.is_some()
                && (!parts.tools.offered().is_empty() || parts.tools.selects_mcp()),
            rights: self.rights(task, &parts),
            reply_tokens_max: self.setup.reply_tokens_max,
            turns_max: task
                .max_turns
                .or(by_agent.and_then(|agent| agent.max_turns))
                .unwrap_or(self.setup.turns_max),
            retries_max: task.retries.unwrap_or(self.setup.retry.retries_max),
            hedge: task.hedge.unwrap_or(self.setup.hedge),
            timeout: task.timeout.unwrap_or(self.setup.timeout),
        })
    }

    /// The tools that `task` asks for and is not given.
    fn rights(&self, task: &Task, parts: &Parts) -> Rights {
        let by_agent = parts.agent.as_ref().map(|agent| agent.isolation);
        Rights {
            write_withheld: parts.tools.withholds_writing(),
            run_withheld: parts.tools.withholds_running(),
            lacks: parts
                .tools
                .missing()
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            unknown_tools: parts.tools.unknown(),
            worktree: [Some(task.isolation), by_agent].contains(&Some(Isolation::Worktree)),
        }
    }

    /// The vendor's token count of the first request of `task`; `None` if the vendor does not
    /// count, or there is no model. Free, but sends the prompt to the vendor.
    pub async fn counted(&self, task: &Task) -> Result<Option<u64>, Failure> {
        let Ok(parts) = self.assign(task) else {
            return Ok(None);
        };
        // Without the version of a program, which nothing here depends on.
        let resolved = self.accepted(task.clone(), parts, "", 0);
        let Some(assignment) = resolved.assignment else {
            return Ok(None);
        };
        let Some(model) = assignment.models.first() else {
            return Ok(None);
        };
        let request = opening(assignment.brief(), &model.id, None);
        Ok(model.provider.count_tokens(&request).await?)
    }

    /// Cost of an attempt besides divisi's own requests to models.
    fn attempt_cost(&self, task: &Task, executor: &Registered) -> AttemptCost {
        let own = task.max_cost.or(self.setup.task_cost_max);
        match (executor.spec.cost, own) {
            (Cost::Metered, _) if executor.program.is_none() => AttemptCost::Free,
            // Its request has a price, as those of agents.
            (Cost::Free | Cost::OneRequest, _) => AttemptCost::Free,
            (Cost::UpTo(most), _) => AttemptCost::UpTo(most),
            (Cost::Limited(most), own) => AttemptCost::UpTo(own.unwrap_or(most)),
            (Cost::Metered | Cost::Reported, Some(own)) => AttemptCost::UpTo(own),
            (Cost::Metered | Cost::Reported, None) => AttemptCost::Unbounded,
        }
    }

    /// Fails if the cost of an attempt at `task` has no bound although `caps` apply. Other errors
    /// of the task are ignored.
    pub fn bounded(&self, task: &Task, caps: &Caps) -> Result<(), Failure> {
        let agent = task
            .agent_type
            .as_deref()
            .and_then(|name| self.agents.get(name).ok());
        let name = self.executor_of(task, agent.map(|agent| &**agent));
        let Some((_, executor)) = self.setup.executors.get(name) else {
            return Ok(());
        };
        let of_phase = task.phase.as_ref().and_then(|phase| caps.phases.get(phase));
        let Some(cap) = caps.run.or(of_phase.copied()) else {
            return Ok(());
        };
        match self.attempt_cost(task, executor) {
            AttemptCost::Free | AttemptCost::UpTo(_) => Ok(()),
            AttemptCost::Unbounded => {
                let message = format!("what `{name}` may cost has no bound, and the cap is {cap}");
                Err(Failure::new(FailureClass::Budget, message).hint(format!(
                    "say what one attempt costs at most, `cost = \"$0.50\"` under [executors.{name}] in \
                     divisi.toml, or what the task may cost, with `maxCost`"
                )))
            }
        }
    }

    fn rung(&self, model: &Model) -> Rung {
        let provider = self.setup.models.name_of(model).unwrap_or_default().into();
        let price = model.price.as_deref().cloned();
        Rung {
            provider,
            tier: model.tier,
            price,
            model: model.id.clone(),
        }
    }

    /// Approximate tokens of the first request. Placeholders count with their own length.
    fn prompt_tokens(&self, task: &Task, parts: &Parts) -> u64 {
        let Parts {
            models,
            tools,
            agent,
            ..
        } = parts;
        let model = models
            .rungs
            .first()
            .map(|model| model.id.clone())
            .unwrap_or_default();
        let brief = Brief {
            task,
            setup: &self.setup,
            tools,
            agent: agent.as_deref(),
        };
        let unknown = tools.unknown_bytes_guess() / BYTES_OF_PROSE;
        tokens::of_request(&opening(brief, &model, None)) + unknown
    }

    /// Why a task starts on its first model.
    fn why(&self, task: &Task, parts: &Parts, choice: &Choice) -> String {
        let chosen = || match choice.declared {
            true => format!("its kind is {}", choice.kind),
            false => format!("it looks like {}", choice.kind),
        };
        let by_agent = parts
            .agent
            .as_deref()
            .and_then(|agent| agent.model.as_deref());
        match (
            task.model.first().filter(|word| *word != "inherit"),
            by_agent,
        ) {
            _ if parts.models.rungs.is_empty() => "no model is asked".to_owned(),
            (Some(AUTO), _) => chosen(),
            (Some(word), _) if task.model.0.len() > 1 => {
                format!("the flow's ladder begins with {word}")
            }
            (Some(word), _) => format!("the flow asks for {word}"),
            (None, Some(word)) => {
                format!(
                    "the definition of `{}` says {word}",
                    task.agent_type.as_deref().unwrap_or_default()
                )
            }
            (None, None) if &*self.setup.models.default == AUTO => chosen(),
            (None, None) => "the run's model".to_owned(),
        }
    }
}

/// Approximate tokens of a text for a model, or for the run's default one.
fn count(model: Option<&Model>, text: &str) -> u64 {
    tokens::count(model.map_or("", |model| &model.id), text).tokens
}
