export const meta = { name: 'nested', description: 'Two runs of another flow and what they have in common' }

phase('Parts')
const parts = []
for (const area of ['server', 'client']) {
  try {
    parts.push(await workflow('area', { area, depth: 2 }))
  } catch (error) {
    log(`the flow for ${area} failed: ${error.message}`)
  }
}
let extra = null
try {
  extra = await workflow({ scriptPath: 'missing' })
} catch (error) {
  extra = error.message
}

phase('Whole')
const whole = await agent(`What do these have in common?\n${parts.map((part) => JSON.stringify(part)).join('\n')}`)
return { parts, extra, whole }
