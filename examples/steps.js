// Sequential pipeline: build, test and deploy, one after another.
//
// These three cannot run at the same time, because each needs the files and the
// report of the previous one. `required` makes a failure end the flow: nothing
// is deployed that was not tested. After a crash or a repair `divisi resume last`
// continues after the last step that was done.
//
//   divisi run examples/steps.js --allow run --max-cost 2
export const meta = {
  name: 'steps',
  description: 'Builds, tests and deploys, in this order',
  phases: [{ title: 'Build' }, { title: 'Test' }, { title: 'Deploy' }],
};

const step = (title, prompt) => {
  phase(title);
  return agent(prompt, { label: title.toLowerCase(), model: 'sonnet', timeout: '20m', required: true });
};

const build = await step('Build', 'Build the application. Say where the result is, and which warnings there were.');
const tests = await step('Test', `Run the test suite on this build. Say which tests fail.\n\n${build}`);
return step('Deploy', `Deploy this build to staging, if its tests allow that.\n\n${build}\n\n${tests}`);
