export const meta = { name: 'shared-context', description: 'Many questions about one text of 20,000 tokens', maxAgents: 1_000_000 };

const context = 'The gate opens at dawn and closes at dusk.\n'.repeat(2_000).slice(0, 80_000);
const questions = Array.from({ length: args }, (_, i) => i);
const answers = await parallel(questions.map((i) => () => agent(`About task ${i}: when does the gate open?`, { context })));
return answers.filter(Boolean).length;
