/**
 * What a divisi flow can use in addition to JavaScript itself.
 *
 * Put this file next to your flows, and at the top of each
 * `/// <reference path="./divisi.d.ts" />`, or name it in `jsconfig.json`.
 *
 * A flow is the body of an async function: it may `await` and `return` at the
 * top. It is in strict mode. It has no clock, no randomness, no files and no network,
 * so that a run can be resumed by executing it again with the recorded answers. In
 * addition to what is declared here it has `console` (which writes to the log),
 * `URL`, `URLSearchParams`, `TextEncoder`, `TextDecoder`, `structuredClone` and
 * `queueMicrotask`, which editors know; `setTimeout`, `setInterval` and what clears
 * them (in a resume a timer fires where it fired before); and of `Intl` `Collator` and
 * `NumberFormat`, which are American English unless you name a language, like
 * `localeCompare`. `Date.now()`, `new Date()` and `Math.random()` throw.
 */

/** A tier, a model id, `inherit`, or `auto`: the tier that suffices. */
type Model = 'haiku' | 'sonnet' | 'opus' | 'fable' | 'inherit' | 'auto' | (string & {});

/** How hard a model should think; in any case: `'High'` is `'high'`. */
type Effort = EffortWord | Capitalize<EffortWord> | Uppercase<EffortWord>;
type EffortWord = 'low' | 'medium' | 'high' | 'xhigh' | 'max';

/** Milliseconds, or a text with units, as in the settings: `'90s'`, `'1h30m'`. */
type Span = number | `${number}${'ms' | 's' | 'm' | 'h'}` | `${number}h${number}m` | `${number}m${number}s`;

/** Dollars: a number, or a text. `Infinity` is no limit. */
type Dollars = number | `$${number}` | `${number}`;

/**
 * A shell command that exits with 0. It reads the result from its standard input;
 * its output goes into the next prompt. The run must permit it: `--allow run`.
 */
type CommandCheck = string | { command: string };

/** A JSON Schema that the result fits; it may be narrower than the one the model is given. */
interface SchemaCheck {
  schema: Record<string, unknown>;
}

/** Another model that marks the result by this rubric. */
interface JudgeCheck {
  /** What the result must be. */
  judge: string;
  /** The cheapest tier when absent. */
  model?: Model;
  /** Fewest marks that let it pass, 0 to 10; 7 when absent. */
  threshold?: number;
}

/**
 * A function that checks the result: it returns `true`, `false`, or a text that says
 * what is wrong. An exception counts as such a text; an empty text as `true`. It
 * is called again in a resume, and not called in a plan.
 */
type FunctionCheck = (value: any) => boolean | string | PromiseLike<boolean | string>;

type Check = CommandCheck | SchemaCheck | JudgeCheck | FunctionCheck;

/** A flow's description of itself: `export const meta = {…}`, first and literal. */
interface Meta {
  /** The name under which it is called. */
  name: string;
  /** What it does. */
  description: string;
  /** When to choose it among others. */
  whenToUse?: string;
  /**
   * Most agents, commands and other flows that the run may call: 1,000 when absent (`agents_max`
   * in the settings), or ten times as many as it calls at once. Calls beyond that throw.
   */
  maxAgents?: number;
  /** A JSON Schema of `args`: arguments that do not fit it are refused before the run. */
  args?: Schema;
  /** `true`: a stage of `pipeline` that gives `null` hands it on, as in Claude Code before July 2026. */
  handsOnNull?: boolean;
  /** The phases it announces. `maxCost` caps the cost of a phase's tasks; the rest has no effect. */
  phases?: Array<{ title: string; detail?: string; model?: Model; maxCost?: Dollars }>;
}

/** A JSON Schema with an object at the root. */
interface Schema {
  /** `object`, or a list with it. */
  type?: string | readonly string[];
  properties?: Record<string, unknown>;
  required?: readonly string[];
  [keyword: string]: unknown;
}

/** Options of a task besides its prompt. */
interface AgentOptions {
  /** A short name for display. */
  label?: string | number;
  /** The phase; the current one of `phase()` when absent. */
  phase?: string;
  /** The schema of the result. Without it the result is a text. */
  schema?: Schema;
  /**
   * The run's default when absent. Several models are a ladder, cheapest first: if
   * `check` refuses a result, the next model does the task, from the start and with
   * the findings. A single model is tried once more.
   */
  model?: Model | readonly Model[];
  /** Models to use when the first choice is overloaded or unavailable. */
  fallback?: Model | readonly Model[];
  /**
   * Checks of the result; functions come last. A task whose last result is
   * refused fails. If all checks are judges and a ladder was climbed, the last
   * result is accepted unjudged. With functions, each model is a separate
   * task.
   */
  check?: Check | readonly Check[];
  /** Most that all attempts of the task may cost together. */
  maxCost?: Dollars;
  /** The kind of work: `search`, `review`, …; guessed from the prompt when absent. */
  kind?: string;
  effort?: Effort;
  /** `'worktree'`: in a git worktree of its own. */
  isolation?: 'worktree' | 'none';
  /** The name of an agent definition. */
  agentType?: string;
  /**
   * What carries the task out: `api`, a name from the settings, or `person`: then the
   * prompt is a question to the user, the run parks once nothing else is left to do,
   * and `divisi answer` gives the result.
   */
  executor?: string;
  /** The tools it may use; a list, or a text with commas. */
  tools?: string | readonly string[];
  /** Tools it may not use, even if permitted elsewhere. */
  disallowedTools?: string | readonly string[];
  /** Text that many tasks share. It is sent first, so that vendors can cache it. */
  context?: string;
  /** Files whose content decides whether an old result can be used again. */
  inputs?: string | readonly string[];
  /** Longest time of one attempt. */
  timeout?: Span;
  /** Longest time of one attempt without any sign of progress. */
  stallMs?: Span;
  /** How often a failed attempt may be tried again. */
  retries?: number;
  /** How long to wait for an overloaded vendor before that uses up retries; 10 minutes when absent. */
  overloadWait?: Span;
  /** Whether a request that takes far longer than usual may be sent a second time; both are paid for. */
  hedge?: boolean;
  /** How many requests one attempt may send. */
  maxTurns?: number;
  /** A failure throws instead of being `null`. */
  required?: boolean;
  /**
   * Length of the longest chain of tasks that waits for this one. Of the tasks
   * that can start, the one with the longest chain goes first. Plans and
   * `decompose` set this by themselves.
   */
  priority?: number;
  /**
   * Expected lengths of the lists in the result: one number for all, or numbers
   * by property, `{ files: 12 }` or `{ 'report.files': 12 }`. Plans use it, and
   * assume three without it; it has no effect on a run.
   */
  expect?: number | Record<string, number>;
}

/** How a task ended. */
interface Outcome<T> {
  status: 'ok' | 'failed' | 'skipped' | 'cancelled';
  /** `null` unless `ok`. */
  value: T | null;
  /** Why there is no value. */
  reason: string | null;
  /** The model that answered. */
  model: string | null;
  attempts: number;
  /** In dollars, of all attempts. */
  cost: number;
}

interface Agent {
  /**
   * Runs one agent, which sees the prompt and nothing else.
   *
   * `null` when the task failed, was skipped or cancelled. Throws when the
   * prompt is empty, an option is invalid, no answer fitted the schema,
   * the token budget is spent, the run has made `maxAgents` calls, or the task is `required` and failed.
   */
  <T = any>(prompt: string, options: AgentOptions & { schema: Schema; required: true }): Promise<T>;
  <T = any>(prompt: string, options: AgentOptions & { schema: Schema }): Promise<T | null>;
  (prompt: string, options: AgentOptions & { required: true }): Promise<string>;
  (prompt: string, options?: AgentOptions): Promise<string | null>;

  /** The same, but returns the whole outcome; never throws. */
  outcome<T = any>(prompt: string, options?: AgentOptions): Promise<Outcome<T>>;
}

declare const agent: Agent;

/**
 * Runs functions at the same time, 4,096 at most, and waits for all of them.
 * The result of one that throws is `null`; the call itself never rejects.
 */
declare function parallel<T>(thunks: ReadonlyArray<() => T | PromiseLike<T>>): Promise<Array<T | null>>;

/**
 * Takes each item through all stages, without waiting for the other items.
 * A stage receives the result of the previous stage, the item, and its index. If a
 * stage throws or gives `null`, the result of its item is `null`, and later stages
 * are skipped. Return another value, such as `{ missing: true }`, to go on.
 */
declare function pipeline<I, A>(items: readonly I[], a: Stage<I, I, A>): Promise<Array<A | null>>;
declare function pipeline<I, A, B>(items: readonly I[], a: Stage<I, I, A>, b: Stage<A, I, B>): Promise<Array<B | null>>;
declare function pipeline<I, A, B, C>(
  items: readonly I[],
  a: Stage<I, I, A>,
  b: Stage<A, I, B>,
  c: Stage<B, I, C>,
): Promise<Array<C | null>>;
declare function pipeline<I>(items: readonly I[], ...stages: Array<Stage<any, I, any>>): Promise<any[]>;

type Stage<P, I, R> = (previous: P, item: I, index: number) => R | PromiseLike<R>;

/**
 * Begins a phase for the tasks that follow. Inside of functions that run at the
 * same time use the option `phase`. `maxCost` caps the cost of the phase's tasks
 * together; at it the run parks.
 */
declare function phase(title: string, options?: { maxCost?: Dollars }): void;

/** Writes a line to the log. */
declare function log(message: unknown): void;

/**
 * Runs another flow as a part of this one and returns its result. Throws when
 * there is no flow with this name, when it cannot be read, and whatever it throws.
 * A flow called in this way cannot call others.
 */
declare function workflow(flow: string | { scriptPath: string } | { name: string }, args?: unknown): Promise<any>;

/** The arguments of the run. */
declare const args: any;

interface Budget {
  /** `null` when there is no bound. */
  readonly total: number | null;
  /** Of all tasks that have ended so far. */
  spent(): number;
  /** `Infinity` when there is no bound. */
  remaining(): number;
}

/** Output tokens of the run. At `spent() >= total` further tasks throw. */
declare const budget: Budget & {
  /** The same in dollars. At `total` the run parks, and nothing throws. */
  readonly usd: Budget;
};

interface GatherOptions extends AgentOptions {
  /** Throws when fewer parts than this are there; 1 when absent. */
  minParts?: number;
}

/**
 * Runs one agent that combines many parts; its prompt names the missing ones and
 * why. Parts are results, or outcomes, by name or in a list; `null` is missing.
 * An object puts numeric names first; a Map keeps its order.
 */
declare function gather(
  prompt: string,
  parts: readonly unknown[] | ReadonlyMap<string, unknown> | Record<string, unknown>,
  options?: GatherOptions,
): Promise<any>;

/** A task of a plan: its prompt, and the tasks it waits for. */
interface PlanTask {
  /** Letters, digits, `-` and `_`. */
  id: string;
  /** `{{id}}` stands for the result of another task. */
  /** Not with `approve`. */
  prompt?: string;
  needs?: string | readonly string[];
  label?: string;
  kind?: string;
  /** Several are a ladder. */
  model?: Model | readonly Model[];
  fallback?: Model | readonly Model[];
  /** No functions: a plan cannot contain any. */
  check?: PlanCheck | readonly PlanCheck[];
  maxCost?: Dollars;
  effort?: Effort;
  schema?: Schema;
  agentType?: string;
  executor?: string;
  tools?: readonly string[];
  disallowedTools?: string | readonly string[];
  context?: string;
  phase?: string;
  inputs?: string | readonly string[];
  isolation?: 'worktree' | 'none';
  timeout?: Span;
  stallMs?: Span;
  retries?: number;
  /** In milliseconds. */
  overloadWait?: number;
  hedge?: boolean;
  maxTurns?: number;
  /**
   * A question to a person, instead of `prompt` and the options of an agent. What needs a task that is
   * answered with no does not run.
   */
  approve?: string | ({ question: string; show?: string } & Pick<ApproveOptions, 'choices' | 'default' | 'timeout'>);
}

type PlanCheck = CommandCheck | SchemaCheck | JudgeCheck;

interface DecomposeOptions {
  /**
   * Tasks to carry out as they are, without an agent that plans. Other fields of the plan
   * (`maxCost`, `phases`, `gather`) have no effect here, and cause a warning.
   */
  plan?: { goal?: string; tasks: readonly PlanTask[] };
  /** Options of the agent that plans, or just its model; `opus` when absent. */
  planner?: AgentOptions | Model;
  /** Options of the agents that do the work, or just their model; they override the plan's. Without either: `auto`. */
  worker?: AgentOptions | Model;
  /** Most tasks of the plan; 20 when absent. */
  max?: number;
  /**
   * Called with the plan before any of its tasks is requested; unless its result is truthy, none is. A result
   * with `tasks` is the plan to carry out instead.
   */
  approve?: (plan: Decomposed['plan']) => unknown;
  /** Makes one answer of the results: `true`, a prompt, or options with one. */
  gather?: boolean | string | (GatherOptions & { prompt?: string });
}

interface Decomposed {
  plan: { goal: string; tasks: Array<{ id: string; prompt: string; needs: string[]; label?: string; model?: string }> };
  /** By id; `null` where a task has no result. */
  results: Record<string, any>;
  /** Why there is no result, by id. */
  missing: Record<string, string>;
  /** The result of `gather`. */
  synthesis?: any;
}

/** One agent plans tasks for a goal, others carry them out, each as soon as its dependencies have ended. */
declare function decompose(goal: string, options?: DecomposeOptions): Promise<Decomposed>;

/** Runs a command. Throws when it cannot be run; if it fails, `code` is not 0. */
declare function shell(
  command: string,
  options?: Pick<AgentOptions, 'label' | 'phase' | 'isolation' | 'inputs' | 'timeout' | 'stallMs' | 'retries'>,
): Promise<{ code: number; stdout: string; stderr: string }>;

interface ApproveOptions {
  /** The answers to choose from; `null` accepts any text. When absent: yes or no. */
  choices?: readonly string[] | null;
  /** The answer where no person can be asked, or none answers in time: `true`, `false`, or a choice. */
  default?: boolean | string;
  /**
   * How long the question waits, from the moment at which it was recorded, also over a resume. Then it
   * takes its default; without one it throws.
   */
  timeout?: Span;
  /** Shown with the question: a text, or anything else as JSON. */
  show?: unknown;
  label?: string;
  phase?: string;
  /** `true` when absent: a question without an answer throws. With `false` it gives `null`. */
  required?: boolean;
}

/**
 * Asks a person, and waits for the answer: in the terminal, or by `divisi answer`. Other tasks go on meanwhile;
 * once nothing else is left to do the run is parked, and `divisi resume` goes on with the answer. Where no
 * person can be asked (a pipe, CI), a question with a default takes it at once. It costs nothing.
 */
declare const approve: {
  (question: string, options?: ApproveOptions & { choices?: undefined }): Promise<boolean>;
  <C extends string>(question: string, options: ApproveOptions & { choices: readonly C[] }): Promise<C>;
  (question: string, options: ApproveOptions & { choices: null }): Promise<string>;
  /** The same, but it never throws: as `agent.outcome`. */
  outcome(question: string, options?: ApproveOptions): Promise<Outcome<any>>;
  /** Counts something that is not done because `name` was not approved: the run then ends as partial. */
  refused(name: string): void;
};

/** The directory of the run; `process` has nothing else. */
declare const process: { cwd(): string };
