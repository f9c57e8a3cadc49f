export const meta = { name: 'per-item-pipeline', description: 'Each file is read, changed and checked on its own' }

const files = args?.files ?? ['a.ts', 'b.ts', 'c.ts', 'd.ts']

const results = await pipeline(
  files,
  (file) => agent(`Read ${file} and say what has to change.`, { label: `read:${file}`, phase: 'Read', model: 'haiku' }),
  (plan, file) =>
    agent(`Change ${file}:\n${plan.trim()}`, { label: `edit:${file}`, phase: 'Edit', isolation: 'worktree' }),
  async (edit, file, index) => {
    const checks = await parallel([
      () => agent(`Do the tests of ${file} still pass?`, { label: `test:${file}`, phase: 'Check' }),
      () => agent(`Is this change small? ${edit}`, { label: `size:${file}`, phase: 'Check' }),
    ])
    return { index, file, edit, checked: checks.every(Boolean) }
  },
)

const done = results.filter(Boolean)
return { done: done.map(({ file }) => file), dropped: files.filter((_, i) => !results[i]), unchecked: done.filter((r) => !r.checked).length }
