export const meta = { name: 'lenses-and-sceptic', description: 'One reader for each lens, their union, a sceptic for each claim' }

const LENSES = [
  { key: 'clarity', ask: 'Is it clear?' },
  { key: 'truth', ask: 'Is it true?' },
  { key: 'gaps', ask: 'What is missing?' },
]
const CLAIMS = { type: 'object', properties: { claims: { type: 'array', items: { type: 'string' }, maxItems: 5 } }, required: ['claims'] }

const read = await parallel(LENSES.map(({ key, ask }) => () =>
  agent(`Read README.md. ${ask}`, { label: key, phase: 'Read', schema: CLAIMS }).then((r) => r && { key, claims: r.claims })))

const union = new Map()
for (const { key, claims } of read.filter(Boolean)) {
  for (const claim of claims ?? []) {
    const id = claim.toLowerCase().replace(/[^a-z0-9]+/g, '-')
    if (!union.has(id)) union.set(id, { claim, by: [] })
    union.get(id).by.push(key)
  }
}
log(`${union.size} different claims`)

const answers = await parallel([...union.values()].map(({ claim, by }) => async () => {
  const answer = await agent(`You are a sceptic. ${by.join(' and ')} said: ${claim}. Yes or no?`, { phase: 'Doubt', effort: 'low' })
  return answer === null ? { claim, verdict: 'unknown' } : { claim, verdict: /no/i.test(answer) ? 'no' : 'yes' }
}))
return answers.reduce((counts, { verdict }) => ({ ...counts, [verdict]: (counts[verdict] ?? 0) + 1 }), {})
