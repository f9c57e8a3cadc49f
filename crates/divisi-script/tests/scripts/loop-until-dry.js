/*
 * Searches in rounds until a round brings nothing new.
 */
'use strict'
export const meta = { name: 'loop-until-dry', description: "Search until nothing new turns up" }

const ROUNDS_MAX = 4
const seen = new Set()
const rounds = []

for (let round = 1; round <= ROUNDS_MAX; round++) {
  phase(`Round ${round}`)
  const known = seen.size ? ` Known already: ${[...seen].join(', ')}.` : ''
  const found = await agent(`List dead code in lib/.${known}`, {
    label: `round:${round}`,
    schema: {
      type: 'object',
      properties: { names: { type: 'array', items: { type: 'string' } } },
      required: ['names'],
    },
  })
  if (!found) {
    log(`round ${round} brought nothing back`)
    continue
  }
  const fresh = (found.names ?? []).filter((name) => !seen.has(name))
  fresh.forEach((name) => seen.add(name))
  rounds.push({ round, fresh: fresh.length })
  if (fresh.length === 0) break
}

return { names: [...seen].sort(), rounds }
