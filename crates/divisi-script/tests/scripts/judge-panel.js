export const meta = {
  name: 'judge-panel',
  description: 'Three designs, three judges each, the best one worked out',
  whenToUse: 'When a design has to be chosen and taste differs',
}

const { question = 'How should the cache be split?', judges = 3 } = typeof args === 'string' ? JSON.parse(args) : args ?? {}
const SCORE = {
  type: 'object',
  properties: { score: { type: 'integer', minimum: 1, maximum: 10 }, remark: { type: 'string' } },
  required: ['score'],
  additionalProperties: true,
}

phase('Propose')
const designs = await parallel(
  ['simplest', 'fastest', 'safest'].map((aim) => () => agent(`${question}\nPropose the ${aim} way.`, { label: aim, effort: 'high' })),
)

phase('Judge')
const scored = await pipeline(
  designs,
  (design, _, i) =>
    parallel(
      Array.from({ length: judges }, (_, judge) => () =>
        agent(`Score this design from 1 to 10:\n${design}`, { label: `judge:${i}.${judge}`, schema: SCORE, model: 'sonnet' }),
      ),
    ),
  (scores, design, i) => {
    const given = scores.filter((score) => typeof score?.score === 'number')
    if (given.length === 0) throw new Error(`nobody judged design ${i}`)
    return { i, design, mean: given.reduce((sum, { score }) => sum + score, 0) / given.length }
  },
)

const best = scored.filter(Boolean).sort((a, b) => b.mean - a.mean || a.i - b.i)[0]
if (!best) return { error: 'no design was judged' }
phase('Detail')
return { best: best.i, mean: best.mean, detail: await agent(`Work out this design:\n${best.design}`, { model: 'opus', effort: 'xhigh' }) }
