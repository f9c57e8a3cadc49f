// decompose(goal, opts): an agent makes a plan, other agents carry it out.
(globals, host) => {
  // A larger plan could cost more than expected; `max` raises the limit.
  const TASKS_MAX = 20;

  globals.decompose = async function decompose(goal, options = {}) {
    if (typeof goal !== 'string' || goal.trim() === '') throw new TypeError('decompose() takes the goal first');
    const { plan, planner, worker, max = TASKS_MAX, approve, gather, ...others } = options;
    for (const name of Object.keys(others)) host.warn(`the option \`${name}\` of decompose() is not supported yet and does nothing`);
    if (!Number.isInteger(max) || max < 1) throw new TypeError('the option `max` of decompose() has to be a whole number from 1');
    if (approve && typeof approve !== 'function') throw new TypeError('the option `approve` of decompose() has to be a function');
    const group = host.group('decompose');
    let { tasks, chains } = plan ? givenPlan(plan) : await makePlan(goal, withModel(asOptions(planner), 'opus'), max);
    const approved = approve ? await approve({ goal, tasks }) : true;
    if (!approved) return refused(goal, tasks);
    // An edited plan replaces that of the planner; its author may decide on more than models.
    const isEdited = Array.isArray(approved.tasks);
    if (isEdited) ({ tasks, chains } = editedPlan({ tasks: approved.tasks }));
    host.begin(group, tasks.length);
    const running = runAll(tasks, chains, workerOptions(worker, plan), plan || isEdited ? allOf : chosenOf);
    host.leave(group);
    const outcomes = await running;
    host.end(group);
    return conclude(goal, tasks, outcomes, gather);
  };

  // `planner` and `worker` may be just the model.
  const asOptions = (given) => (typeof given === 'object' && given !== null ? given : { model: given });

  // Only without a model: an agent definition may name one of its own.
  const withModel = (options, model) => (options.model || options.agentType ? options : { ...options, model });

  const workerOptions = (worker, plan) => {
    const options = asOptions(worker);
    return plan || options.agentType ? options : { otherwise: 'auto', ...options };
  };

  const makePlan = async (goal, options, max) => {
    let complaint = null;
    for (let tries = 1; ; tries++) {
      const prompt = host.plannerPrompt({ goal, max, complaint });
      host.bound(max);
      const plan = await globals.agent(prompt, { label: 'plan', ...options, schema: host.planSchema(), required: true });
      const { error, ...checked } = host.checkPlan(plan, max);
      if (!error) return checked;
      if (tries === host.plansMax) throw new Error(`no usable plan after ${tries} tries: ${error}`);
      host.report(`plan ${tries} cannot be used: ${error}`);
      complaint = { error, plan: JSON.stringify(plan) };
    }
  };

  // Fields of a plan that only have an effect when the plan itself is run.
  const NOT_TAKEN = ['maxCost', 'phases', 'gather'];

  const givenPlan = (plan) => {
    const { error, ...checked } = host.checkPlan(plan, host.tasksMax);
    if (error) throw new TypeError(`the option \`plan\` of decompose() is no plan: ${error}`);
    for (const name of NOT_TAKEN.filter((name) => plan[name] != null)) {
      host.warn(`\`${name}\` of the plan given to decompose() does nothing here: it holds where the plan is run by itself`);
    }
    return checked;
  };

  const editedPlan = (plan) => {
    const { error, ...checked } = host.checkPlan(plan, host.tasksMax);
    if (error) throw new TypeError(`what the function \`approve\` of decompose() returned is no plan: ${error}`);
    return checked;
  };

  // A plan given by the flow's author is carried out as written. A plan made by
  // an agent decides only on the models.
  const allOf = ({ id, prompt, needs, ...options }) => options;
  const chosenOf = ({ model }) => ({ model });

  const runAll = async (tasks, chains, worker, optionsOf) => {
    const started = new Map();
    const byId = new Map(tasks.map((task, index) => [task.id, { task, priority: chains[index] }]));
    const isQuestion = (id) => Boolean(byId.get(id).task.approve);
    const start = (id) => {
      if (!started.has(id)) started.set(id, run(byId.get(id), worker, optionsOf, start, isQuestion));
      return started.get(id);
    };
    const outcomes = await Promise.all(tasks.map(({ id }) => start(id)));
    return new Map(tasks.map(({ id }, index) => [id, outcomes[index]]));
  };

  // Starts when all its dependencies have ended. The flow's options for workers
  // override the planner's options for a task.
  const run = async ({ task, priority }, { otherwise, ...worker }, optionsOf, start, isQuestion) => {
    const texts = byName([]);
    for (const need of task.needs) {
      const { status, value } = await start(need);
      if (status !== 'ok') return skip(task, host.skipped(need));
      if (value === false && isQuestion(need)) {
        globals.approve.refused(need);
        return skip(task, host.notApproved(need));
      }
      texts[need] = typeof value === 'string' ? value : JSON.stringify(value);
    }
    if (task.approve) return ask(task, priority, texts);
    const own = optionsOf(task);
    const options = { ...own, priority, label: task.label ?? task.id, ...worker, model: worker.model ?? task.model ?? otherwise };
    if (own.context) options.context = host.renderPrompt(own.context, texts);
    return globals.agent.outcome(host.renderPrompt(task.prompt, texts), options);
  };

  const ask = ({ id, label = id, phase, approve: { question, show, ...options } }, priority, texts) => {
    if (show) options.show = host.renderPrompt(show, texts);
    return globals.approve.outcome(host.renderPrompt(question, texts), { label, phase, priority, ...options });
  };

  const skip = (task, reason) => {
    host.report(`task \`${task.id}\` is skipped: ${reason}`);
    return { status: 'skipped', value: null, reason, model: null, attempts: 0, cost: 0 };
  };

  // No task of a plan that is not approved runs, and there is nothing to gather.
  const refused = (goal, tasks) => {
    const missing = byName(tasks.map(({ id }) => [id, 'the plan is not approved']));
    return { plan: { goal, tasks }, results: byName([]), missing };
  };

  const conclude = async (goal, tasks, outcomes, gather) => {
    const results = byName(Array.from(outcomes, ([id, { value }]) => [id, value]));
    const failed = Array.from(outcomes).filter(([, { status }]) => status !== 'ok');
    const missing = byName(failed.map(([id, { status, reason }]) => [id, reason ?? status]));
    const concluded = { plan: { goal, tasks }, results, missing };
    if (!gather) return concluded;
    const { prompt = host.synthesis(goal), ...options } = gatherOptions(gather);
    return { ...concluded, synthesis: await globals.gather(prompt, outcomes, options) };
  };

  // An agent chooses the ids: without a prototype, `constructor` and `__proto__` are
  // names like any other.
  const byName = (entries) => Object.assign(Object.create(null), Object.fromEntries(entries));

  const gatherOptions = (gather) => {
    if (gather === true) return {};
    return typeof gather === 'string' ? { prompt: gather } : gather;
  };
};
