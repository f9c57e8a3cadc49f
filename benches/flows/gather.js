export const meta = { name: 'gather', description: 'Many parts and one synthesis of them', maxAgents: 1_000_000 };

const items = Array.from({ length: args }, (_, i) => i);
const parts = await parallel(items.map((i) => () => agent.outcome(`task ${i}`)));
const whole = await gather('Make one report of all parts', Object.fromEntries(parts.map((part, i) => [`part ${i}`, part])));
return whole ? parts.filter((part) => part.status === 'ok').length : 0;
