//! One execution of a script: started, then resumed by answers until it ends.

mod answer;
mod failure;
mod result;

use crate::error::{ErrorKind, Problem};
use crate::globals::{self, Scope};
use crate::looks::Look;
use crate::state::{Shared, State};
use crate::watch::Watch;
use crate::{Answer, Call, CallId, HostOptions, Meta, Script, ScriptError, Site};
use failure::Failure;
use rquickjs::{Context, Ctx, Function, Persistent, Promise, Runtime, Value};
use std::rc::Rc;
use std::sync::Arc;

/// Memory in use when the engine first collects cycles. Waiting calls are no garbage, and to
/// traverse them repeatedly takes a fifth of the time of a fan-out.
const GC_BYTES: usize = 64 * 1024 * 1024;

/// A running script with its own engine.
///
/// It computes only inside [`start`](Self::start) and [`resolve`](Self::resolve), which return as
/// soon as the script waits. It stays on one thread, whose stack must be twice
/// [`stack_bytes_max`](crate::HostLimits::stack_bytes_max).
pub struct Host {
    script: Script,
    shared: Shared,
    watch: Watch,
    /// The promise of the script's result; `None` after its end.
    promise: Option<Persistent<Promise<'static>>>,
    ended: Option<Result<Arc<str>, ScriptError>>,
    context: Context,
    runtime: Runtime,
}

impl Host {
    /// Starts `script` and runs it until it waits; returns the calls it made.
    ///
    /// `args` is the value of `args` in the script, `undefined` for `None`. Text from a command
    /// line should be parsed first if it is JSON.
    ///
    /// Fails only if no engine can be created. Errors of the script, even in its first statement,
    /// are returned by [`finished`](Self::finished).
    pub fn start(
        script: &Script,
        args: Option<serde_json::Value>,
        options: HostOptions,
    ) -> Result<(Self, Vec<Call>), ScriptError> {
        let mut host = Self::new(script, options).map_err(|error| {
            Problem::new(ErrorKind::Memory, format!("no engine: {error}"))
                .of(script.name(), script.source())
        })?;
        warn_of(script, &mut host.shared.borrow_mut());
        let args = args.map(|args| args.to_string());
        host.shared
            .borrow_mut()
            .quote(args.as_deref().unwrap_or_default());
        host.watch.begin();
        let begun = host.within(|ctx, shared| {
            let scope = Scope::root(script);
            let promise = run(ctx, shared, script, &scope, args.as_deref())?;
            Ok(Persistent::save(ctx, promise))
        });
        match begun {
            Ok(promise) => {
                host.promise = Some(promise);
                host.settle();
            }
            Err(failure) => host.end(Err(failure)),
        }
        host.watch.rest();
        let calls = host.shared.borrow_mut().take_calls();
        Ok((host, calls))
    }

    /// Answers a call and runs the script until it waits again.
    ///
    /// Returns the calls it made, in order. Equal answers in equal order lead to equal calls: the
    /// order of answers is the only input that is not in the script. After the script's end,
    /// answers have no effect. Fails if `call` awaits no answer.
    pub fn resolve(&mut self, call: CallId, answer: Answer) -> Result<Vec<Call>, ScriptError> {
        if self.ended.is_some() {
            return Ok(Vec::new());
        }
        let waiting = self.shared.borrow_mut().answered(call).ok_or_else(|| {
            let detail = format!("call {call} awaits no answer");
            Problem::new(ErrorKind::Answer, detail).of(self.script.name(), self.script.source())
        })?;
        self.watch.begin();
        match self.within(|ctx, shared| answer::give(ctx, shared, (call, waiting), answer)) {
            Ok(()) => self.settle(),
            Err(failure) => self.end(Err(failure)),
        }
        self.watch.rest();
        Ok(self.shared.borrow_mut().take_calls())
    }

    /// Gives several answers, one after another.
    ///
    /// Stops at the first call that awaits no answer; calls made before are lost then.
    pub fn resolve_all(
        &mut self,
        answers: impl IntoIterator<Item = (CallId, Answer)>,
    ) -> Result<Vec<Call>, ScriptError> {
        let mut calls = Vec::new();
        for (call, answer) in answers {
            calls.append(&mut self.resolve(call, answer)?);
        }
        Ok(calls)
    }

    /// How the script ended: its result as JSON text, or why it failed.
    ///
    /// `None` as long as it waits. Calls may still await answers when it ends; their results are
    /// not used.
    pub fn finished(&self) -> Option<Result<Arc<str>, ScriptError>> {
        self.ended.clone()
    }

    /// What the script has looked at since the last time, in order. Nothing without a mark in the
    /// options.
    pub fn take_looks(&mut self) -> Vec<Look> {
        std::mem::take(&mut self.shared.borrow_mut().looks)
    }

    /// Whether `call` awaits an answer.
    pub fn awaits(&self, call: CallId) -> bool {
        self.ended.is_none() && self.shared.borrow().is_open(call)
    }

    fn new(script: &Script, options: HostOptions) -> rquickjs::Result<Self> {
        let limits = &options.limits;
        let runtime = Runtime::new()?;
        runtime.set_memory_limit(limits.memory_bytes_max);
        runtime.set_max_stack_size(limits.stack_bytes_max);
        // Well below the limit, so that garbage is collected before memory runs out.
        runtime.set_gc_threshold(GC_BYTES.min(limits.memory_bytes_max / 4));
        let watch = Watch::over(&runtime, limits.busy_max, options.pulse.clone());
        let context = Context::full(&runtime)?;
        context.with(|ctx| globals::install(&ctx))?;
        let shared = State::new(options);
        let tracked = shared.clone();
        runtime.set_host_promise_rejection_tracker(Some(Box::new(
            move |ctx, promise, reason, is_handled| {
                let rejections = &mut tracked.borrow_mut().rejections;
                match is_handled {
                    true => rejections.handled(&ctx, &promise),
                    false => rejections.add(&ctx, promise, reason),
                }
            },
        )));
        context.with(|ctx| globals::looking::install(&ctx, &shared))?;
        shared.borrow_mut().add_source(script);
        Ok(Self {
            script: script.clone(),
            shared,
            watch,
            promise: None,
            ended: None,
            context,
            runtime,
        })
    }

    /// Runs `call` inside the engine; an exception becomes a failure.
    fn within<T>(
        &self,
        call: impl FnOnce(&Ctx<'_>, &Shared) -> rquickjs::Result<T>,
    ) -> Result<T, Failure> {
        self.context
            .with(|ctx| call(&ctx, &self.shared).map_err(|error| Failure::of_error(&ctx, error)))
    }

    /// Runs all pending jobs, then checks if the script has ended.
    fn settle(&mut self) {
        while let Some(ran) = self.step() {
            if let Err(failure) = ran {
                return self.end(Err(failure));
            }
            // An interrupt inside a native helper may throw no exception.
            if self.watch.has_fired() {
                return self.end(Err(Failure::interrupted()));
            }
        }
        let Some(promise) = self.promise.clone() else {
            return;
        };
        match self.context.with(|ctx| look(&ctx, promise)) {
            Ok(None) if self.shared.borrow().open() > 0 => {}
            Ok(None) => self.end(Err(Failure::stuck())),
            Ok(Some(result)) => {
                self.tell_uncaught();
                self.end(Ok(result));
            }
            Err(failure) => self.end(Err(failure)),
        }
    }

    /// Sends a notification of unhandled exceptions: the result of the script may lack what their
    /// promises should have contributed.
    fn tell_uncaught(&self) {
        let first = self.context.with(|ctx| {
            let (reason, count) = self.shared.borrow().rejections.first(&ctx)?;
            Some((Failure::of_exception(&ctx, reason), count))
        });
        if let Some((failure, count)) = first {
            let site = failure.site(&self.shared.borrow());
            let mut state = self.shared.borrow_mut();
            let message = state.cut(failure.message(&state));
            state.tell(Call::Uncaught {
                message,
                site,
                count: u32::try_from(count).unwrap_or(u32::MAX),
            });
        }
    }

    /// Runs one job; `None` if there is none.
    ///
    /// A job fails when the script was interrupted. It also fails when a callback of
    /// `queueMicrotask` throws; no code can catch that. The script goes on, and a warning is sent.
    fn step(&self) -> Option<Result<(), Failure>> {
        match self.runtime.execute_pending_job() {
            Ok(false) => None,
            Ok(true) => Some(Ok(())),
            Err(job) => {
                let failure = job
                    .0
                    .with(|ctx| Failure::of_error(&ctx, rquickjs::Error::Exception));
                if self.watch.has_fired() || failure.is_of_memory() {
                    return Some(Err(failure));
                }
                let message = format!(
                    "a callback threw an exception that is not caught: {}",
                    failure.message(&self.shared.borrow())
                );
                self.shared
                    .borrow_mut()
                    .warn_once(message.clone(), message, None);
                Some(Ok(()))
            }
        }
    }

    fn end(&mut self, result: Result<String, Failure>) {
        let interrupted = self.watch.has_fired();
        // An interrupted script may still return a value, which is incomplete.
        let result = if interrupted {
            result.and_then(|_| Err(Failure::interrupted()))
        } else {
            result
        };
        self.ended = Some(result.map(Into::into).map_err(|failure| {
            failure.error(
                &self.script,
                &self.shared.borrow(),
                interrupted.then(|| self.watch.busy_max()),
            )
        }));
        self.promise = None;
        self.shared.borrow_mut().forget_waiting();
    }
}

/// All values must be dropped before the engine: it asserts that none is left.
impl Drop for Host {
    fn drop(&mut self) {
        self.promise = None;
        self.shared.borrow_mut().forget_waiting();
    }
}

/// Begins an execution of `script`; returns the promise of its result.
fn run<'js>(
    ctx: &Ctx<'js>,
    shared: &Shared,
    script: &Script,
    scope: &Rc<Scope>,
    args: Option<&str>,
) -> rquickjs::Result<Promise<'js>> {
    let args = args.map_or(Ok(Value::new_undefined(ctx.clone())), |args| {
        ctx.json_parse(args)
    })?;
    cap_phases(script.meta(), shared, scope);
    let globals = globals::scope(ctx, shared, scope, args)?;
    let body: Function<'js> = script.evaluate(ctx)?.call((globals,))?;
    body.call(())
}

/// Records the warnings about a script that starts.
fn warn_of(script: &Script, state: &mut State) {
    for warning in script.warnings() {
        let site = Site {
            script: script.name().clone(),
            line: warning.line,
        };
        state.warn_once(
            format!("{site} {}", warning.message),
            warning.message.clone(),
            Some(site),
        );
    }
}

/// Sends the caps that `meta` gives phases, before the first task.
fn cap_phases(meta: &Meta, shared: &Shared, scope: &Scope) {
    for phase in meta.phases.iter().filter(|phase| phase.cap.is_some()) {
        shared
            .borrow_mut()
            .phase(scope.phase_name(&phase.title).to_string(), phase.cap);
    }
}

/// The promise's value as JSON text; `None` while it is pending.
fn look(ctx: &Ctx<'_>, promise: Persistent<Promise<'static>>) -> Result<Option<String>, Failure> {
    let promise = promise
        .restore(ctx)
        .map_err(|error| Failure::of_error(ctx, error))?;
    match promise.result::<Value<'_>>() {
        None => Ok(None),
        Some(Ok(value)) => result::encode(ctx, value).map(Some),
        Some(Err(error)) => Err(Failure::of_error(ctx, error)),
    }
}
