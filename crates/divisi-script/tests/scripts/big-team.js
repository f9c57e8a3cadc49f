export const meta = {
  name: 'big-team',
  description: 'A team with a prompt for each member, written out',
  phases: [{ title: 'Team' }, { title: 'Lead' }],
}

phase('Team')
const team = await Promise.all([
  agent('You are the architect. Describe the modules of the system and where they touch.', { label: 'architect', model: 'opus' }),
  agent('You are the tester. List what has no test and matters.', { label: 'tester', model: 'sonnet' }),
  agent('You are the writer. Say which pages of the manual are out of date.', { label: 'writer', model: 'haiku' }),
  agent('You are the operator. What wakes you up at night?', { label: 'operator' }),
  agent('You are new here. What did you not understand?', { label: 'newcomer', effort: 'low' }),
  agent('You are the customer. What do you wait for?', { label: 'customer' }),
  agent('You are responsible for security. What would you attack first?', { label: 'security', model: 'opus', agentType: 'Explore' }),
  agent('You pay for it. What costs too much?', { label: 'accountant', model: 'haiku' }),
])
const names = ['architect', 'tester', 'writer', 'operator', 'newcomer', 'customer', 'security', 'accountant']
const said = names.map((name, i) => (team[i] ? `${name}: ${team[i]}` : null)).filter(Boolean)

phase('Lead')
return agent(`You lead this team. Decide what is done next.\n\n${said.join('\n')}`, { label: 'lead', model: 'opus', effort: 'max' })
