export const meta = { name: 'shared-context', description: 'Twenty questions about one long text' }

const context = 'The gate opens at dawn and closes at dusk.\n'.repeat(2_000).slice(0, 80_000)
const questions = Array.from({ length: 20 }, (_, i) => i)
const answers = await parallel(questions.map((i) => () =>
  agent(`Question ${i}: when does the gate open?`, { label: `question ${i}`, context, model: args.model })))
return answers.filter(Boolean).length
