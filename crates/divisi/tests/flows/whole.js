export const meta = { name: 'whole', description: 'All four patterns in one run' }

const finding = {
  type: 'object',
  properties: { summary: { type: 'string' }, severity: { enum: ['low', 'high'] } },
  required: ['summary', 'severity'],
}

phase('Audit')
const audited = await pipeline(args.files,
  (file) => agent(`Audit the file ${file}.`, { label: `audit ${file}`, phase: 'Audit', model: 'haiku' }),
  (audit, file) => agent(`Extract the finding about ${file} from: ${audit}`,
    { label: `extract ${file}`, phase: 'Extract', model: 'haiku', schema: finding }),
  (found, file) => agent(`Verify about ${file}: ${found.summary}`, { label: `verify ${file}`, phase: 'Verify' }))

phase('Decompose')
const parts = await decompose('Look at what the audits have in common', { planner: 'opus', worker: 'haiku', max: 5 })

phase('Report')
const report = await gather('Make one report of these audits.', audited, { model: 'opus' })
return { report, parts: parts.results, audited: audited.filter(Boolean).length }
