export const meta = { name: 'implement-then-check', description: 'Items one after the other, each tried until its check passes' }

const items = ['parser', 'printer']
const TRIES_MAX = 2
const CHECK = { type: 'object', properties: { passed: { type: 'boolean' }, output: { type: 'string' } }, required: ['passed', 'output'] }
const report = {}

for (const item of items) {
  phase(`Item ${item}`)
  let complaint = ''
  report[item] = 'failed'
  for (let tries = 1; tries <= TRIES_MAX; tries++) {
    const work = await agent(`Implement the ${item}.${complaint}`, { label: `${item} ${tries}`, authority: 'write' })
    if (work === null) {
      log(`${item}: try ${tries} was lost`)
      continue
    }
    const check = await agent(`Run the tests of the ${item}.`, { label: `check ${item}`, schema: CHECK, model: 'haiku' })
    if (check?.passed) {
      report[item] = `passed at try ${tries}`
      break
    }
    complaint = `\nThe tests said: ${check?.output ?? 'nothing'}`
  }
  if (report[item] === 'failed') break
}
return report
