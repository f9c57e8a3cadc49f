// agent() with functions as checks: a result that one of them refuses is dropped,
// and the task is requested again with the findings.
async (ask, end, checks) => {
  const refusal = async (value) => {
    for (const check of checks) {
      const findings = readVerdict(await verdictOf(check, value));
      if (findings !== '') return findings;
    }
    return '';
  };

  // An exception of a check counts as its findings.
  const verdictOf = async (check, value) => {
    try {
      return await check(value);
    } catch (error) {
      if (isOutOfMemory(error)) throw error;
      return String(error?.message || error).trim() || false;
    }
  };

  const readVerdict = (verdict) => {
    if (verdict === true) return '';
    if (verdict === false) return 'a check of the flow says no';
    if (typeof verdict === 'string') return verdict.trim();
    throw new TypeError(`a function of \`check\` has to return true, false or what is wrong, not ${verdict === null ? null : typeof verdict}`);
  };

  // The engine throws `null` when there is no memory for an exception.
  const isOutOfMemory = (error) =>
    error === null || (error instanceof InternalError && error.message === 'out of memory');

  let failure = [];
  try {
    let value = await ask();
    // Without a value there is nothing more to check.
    while (value !== undefined) {
      const findings = await refusal(value);
      if (findings === '') break;
      value = await ask(findings);
    }
  } catch (error) {
    if (isOutOfMemory(error)) throw error;
    failure = [error];
  }
  return end(...failure);
};
