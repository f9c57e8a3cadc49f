// Three readers look for defects; every defect is then tried by a sceptic.
export const meta = {
  name: 'fan-out-verify',
  description: 'Find defects from three angles and keep those that survive a second look',
  phases: [{ title: 'Find' }, { title: 'Verify', model: 'haiku' }, { title: 'Report' }],
}

const FINDINGS = {
  type: 'object',
  properties: {
    findings: {
      type: 'array',
      items: {
        type: 'object',
        properties: { file: { type: 'string' }, claim: { type: 'string' }, severity: { enum: ['high', 'low'] } },
        required: ['file', 'claim', 'severity'],
      },
    },
  },
  required: ['findings'],
}
const VERDICT = {
  type: 'object',
  properties: { real: { type: 'boolean' }, why: { type: 'string' } },
  required: ['real', 'why'],
}

phase('Find')
const lenses = ['races', 'leaks', 'wrong errors']
const reports = await parallel(
  lenses.map((lens) => () => agent(`Look for ${lens} in src/.`, { label: `find:${lens}`, schema: FINDINGS })),
)
const findings = reports.filter(Boolean).flatMap((report) => report.findings ?? [])
log(`${findings.length} findings by ${reports.filter(Boolean).length} of ${lenses.length} readers`)

phase('Verify')
const verdicts = await parallel(
  findings.map((finding, i) => async () => {
    const verdict = await agent(`Try to refute: ${finding.file}: ${finding.claim}`, {
      label: `verify:${i}`,
      schema: VERDICT,
      model: 'haiku',
    })
    return verdict?.real ? { ...finding, why: verdict.why } : null
  }),
)

phase('Report')
const confirmed = verdicts.filter(Boolean)
return { confirmed, refuted: findings.length - confirmed.length }
