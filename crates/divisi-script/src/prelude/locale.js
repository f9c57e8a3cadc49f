// Texts and numbers by language: localeCompare(), toLocaleString() of numbers, Intl.Collator and
// Intl.NumberFormat. Without a language they are American English, on every machine.
(native) => {
  const LANGUAGE = 'en-US';
  // Functions kept for reuse: sorting asks for the same one many times.
  const KEPT_MAX = 100;

  const hide = (object, name, value) =>
    Object.defineProperty(object, name, { value, writable: true, configurable: true, enumerable: false });

  const languages = (given) => {
    if (given === undefined) return [];
    if (given === null) throw new TypeError('Cannot convert undefined or null to object');
    return (typeof given === 'string' ? [given] : Array.from(given)).map((tag) => {
      if (typeof tag !== 'string' && typeof tag !== 'object') throw new TypeError('Incorrect locale information provided');
      const known = native.locale(String(tag));
      if (known === undefined || known === null) throw new RangeError('Incorrect locale information provided');
      return known;
    });
  };
  const languageOf = (given) => languages(given)[0] ?? LANGUAGE;

  const kept = (make) => {
    const known = new Map();
    return (...key) => {
      const name = key.join('\n');
      if (!known.has(name)) {
        if (known.size >= KEPT_MAX) known.clear();
        known.set(name, make(...key));
      }
      return known.get(name);
    };
  };

  // Options as the standard reads them.
  const reader = (options, owner) => {
    const given = options === undefined ? {} : Object(options);
    const wrong = (name, value) => new RangeError(`Value ${value} out of range for ${owner} options property ${name}`);
    return {
      has: (name) => given[name] !== undefined,
      word: (name, words, otherwise) => {
        if (given[name] === undefined) return otherwise;
        const word = String(given[name]);
        if (!words.includes(word)) throw wrong(name, word);
        return word;
      },
      flag: (name) => (given[name] === undefined ? undefined : Boolean(given[name])),
      raw: (name) => given[name],
      digits: (name, least, most, otherwise) => {
        if (given[name] === undefined) return otherwise;
        const digits = Number(given[name]);
        if (!(digits >= least && digits <= most)) throw new RangeError(`${name} value is out of range.`);
        return Math.floor(digits);
      },
    };
  };

  const collatorBy = kept(native.collator);

  function Collator(locales, options) {
    if (!new.target) return new Collator(locales, options);
    const locale = languageOf(locales);
    const read = reader(options, 'Intl.Collator');
    const usage = read.word('usage', ['sort', 'search'], 'sort');
    const numeric = read.flag('numeric');
    const caseFirst = read.word('caseFirst', ['upper', 'lower', 'false'], undefined);
    const sensitivity = read.word('sensitivity', ['base', 'accent', 'case', 'variant'], 'variant');
    const ignorePunctuation = read.flag('ignorePunctuation');
    const order = collatorBy(locale, sensitivity, numeric, caseFirst, ignorePunctuation);
    hide(this, 'compare', (one, other) => order(String(one), String(other)));
    hide(this, 'resolvedOptions', () => ({
      locale,
      usage,
      sensitivity,
      ignorePunctuation: ignorePunctuation ?? false,
      collation: 'default',
      numeric: numeric ?? false,
      caseFirst: caseFirst ?? 'false',
    }));
  }
  hide(Collator, 'supportedLocalesOf', languages);

  const decimalBy = kept(native.decimal);

  // Where the sign of percent is, where it does not follow at once.
  const PERCENT = {
    ar: (text) => `${text}\u200e%\u200e`,
    eu: (text) => `%\u00a0${text}`,
    tr: (text) => `%${text}`,
  };
  const spaced = 'be ca cs da de es fi fr gl hr lt mk nb nn no ro ru sk sl sv tk'.split(' ');
  const percent = (text, language) => {
    if (PERCENT[language]) return PERCENT[language](text);
    return spaced.includes(language) ? `${text}\u00a0%` : `${text}%`;
  };

  const SIGNS = {
    USD: '$', EUR: '€', GBP: '£', JPY: '¥', INR: '₹', CNY: 'CN¥', KRW: '₩', BRL: 'R$', CAD: 'CA$', AUD: 'A$',
    MXN: 'MX$', NZD: 'NZ$', HKD: 'HK$', ILS: '₪', VND: '₫', TWD: 'NT$', PHP: '₱',
  };
  const WITHOUT_CENTS = ['JPY', 'KRW', 'VND', 'CLP', 'ISK', 'PYG', 'UGX', 'XAF', 'XOF', 'XPF'];
  const SCALES = ['', 'K', 'M', 'B', 'T'];

  const digitsOf = (read, [fractionMin, fractionMax]) => {
    const digits = { shift: 0, wholeMin: read.digits('minimumIntegerDigits', 1, 21, 1), significantMin: 0, significantMax: 0 };
    if (read.has('minimumSignificantDigits') || read.has('maximumSignificantDigits')) {
      digits.significantMin = read.digits('minimumSignificantDigits', 1, 21, 1);
      digits.significantMax = read.digits('maximumSignificantDigits', digits.significantMin, 21, 21);
      return digits;
    }
    const least = read.digits('minimumFractionDigits', 0, 100, undefined);
    const most = read.digits('maximumFractionDigits', 0, 100, undefined);
    digits.fractionMin = least ?? Math.min(fractionMin, most ?? fractionMin);
    digits.fractionMax = most ?? Math.max(fractionMax, digits.fractionMin);
    if (digits.fractionMin > digits.fractionMax) throw new RangeError('maximumFractionDigits value is out of range.');
    return digits;
  };

  const grouping = (read, isCompact) => {
    const given = read.raw('useGrouping');
    if (given === undefined || given === 'true' || given === 'false') return isCompact ? 'min2' : 'auto';
    if (given === true) return 'always';
    return given ? read.word('useGrouping', ['min2', 'auto', 'always'], 'auto') : 'never';
  };

  // The scale of a number in compact notation, and its digits: two, or all whole ones.
  const scaled = (size, digits, isGiven) => {
    const rounded = (scale) => {
      const value = size / 10 ** (3 * scale);
      return isGiven ? value : value < 100 ? Number(value.toPrecision(2)) : Math.round(value);
    };
    let scale = 0;
    while (scale < SCALES.length - 1 && rounded(scale) >= 1000) scale++;
    const shown = isGiven ? digits : { ...digits, fractionMin: 0, fractionMax: rounded(scale) < 10 ? 1 : 0 };
    const small = size > 0 && size < 1 && !isGiven && { significantMin: 1, significantMax: 2 };
    return { scale, digits: { ...shown, ...small, shift: -3 * scale } };
  };

  function NumberFormat(locales, options) {
    if (!new.target) return new NumberFormat(locales, options);
    const locale = languageOf(locales);
    const [language] = locale.split('-');
    const read = reader(options, 'Intl.NumberFormat');
    const style = read.word('style', ['decimal', 'percent', 'currency', 'unit'], 'decimal');
    const notation = read.word('notation', ['standard', 'scientific', 'engineering', 'compact'], 'standard');
    const signs = read.word('signDisplay', ['auto', 'never', 'always', 'exceptZero', 'negative'], 'auto');
    const isEnglish = language === 'en';
    const missing = (what) =>
      new RangeError(`divisi formats no numbers with ${what} in the language ${locale}: format the parts in the script`);
    if (style === 'unit') throw missing('units');
    if (notation === 'scientific' || notation === 'engineering') throw missing('exponents');
    if (notation === 'compact' && !isEnglish) throw missing("notation: 'compact'");
    let currency;
    if (style === 'currency') {
      if (!read.has('currency')) throw new TypeError('Currency code is required with currency style.');
      currency = String(read.raw('currency')).toUpperCase();
      if (!/^[A-Z]{3}$/.test(currency)) throw new RangeError(`Invalid currency code : ${read.raw('currency')}`);
      if (!isEnglish) throw missing('currencies');
    }
    const isCompact = notation === 'compact';
    const cents = WITHOUT_CENTS.includes(currency) ? 0 : 2;
    const digits = digitsOf(read, style === 'currency' ? [cents, cents] : style === 'percent' || isCompact ? [0, 0] : [0, 3]);
    const isGiven = ['Significant', 'Fraction'].some((kind) => read.has(`minimum${kind}Digits`) || read.has(`maximum${kind}Digits`));
    const group = grouping(read, isCompact);
    const write = decimalBy(locale, group);

    const size = (number, text) => {
      if (text === 'NaN') return 'NaN';
      if (text === 'Infinity') return '∞';
      const { scale, digits: shown } = isCompact ? scaled(Number(number), digits, isGiven) : { scale: 0, digits };
      const shift = shown.shift + (style === 'percent' ? 2 : 0);
      return write(text.replace('e+', 'e'), { ...shown, shift }) + SCALES[scale];
    };
    const minus = write('-1', { wholeMin: 1 }).replace(write('1', { wholeMin: 1 }), '');
    const signOf = (isNegative, isZero) => {
      if (isNegative) return signs === 'never' || (isZero && signs !== 'auto' && signs !== 'always') ? '' : minus;
      return signs === 'always' || (signs === 'exceptZero' && !isZero) ? '+' : '';
    };

    const format = (value) => {
      const given = typeof value === 'bigint' ? value : Number(value);
      const isNegative = given < 0 || Object.is(given, -0);
      const magnitude = given < 0 ? -given : given;
      let text = size(magnitude, String(magnitude === 0 ? 0 : magnitude));
      const isZero = !/[^\p{P}\p{S}\p{Z}0٠۰०০]/u.test(text) || given !== given;
      if (currency) text = (SIGNS[currency] ?? `${currency}\u00a0`) + text;
      if (style === 'percent') text = percent(text, language);
      return signOf(isNegative, isZero) + text;
    };
    hide(this, 'format', format);
    hide(this, 'resolvedOptions', () => {
      const shown = digits.significantMax
        ? { minimumSignificantDigits: digits.significantMin, maximumSignificantDigits: digits.significantMax }
        : { minimumFractionDigits: digits.fractionMin, maximumFractionDigits: digits.fractionMax };
      const money = currency ? { currency } : {};
      const useGrouping = group === 'never' ? false : group;
      return { locale, style, ...money, minimumIntegerDigits: digits.wholeMin, ...shown, useGrouping, notation, signDisplay: signs };
    });
  }
  hide(NumberFormat, 'supportedLocalesOf', languages);

  // Without options, the functions that write numbers are kept: scripts write many in the same way.
  const collatorOf = kept((locale) => new Collator(locale));
  const formatOf = kept((locale) => new NumberFormat(locale));

  hide(String.prototype, 'localeCompare', function localeCompare(that, locales = undefined, options = undefined) {
    const collator = options === undefined ? collatorOf(languageOf(locales)) : new Collator(locales, options);
    return collator.compare(this, that);
  });
  for (const numbers of [Number.prototype, BigInt.prototype]) {
    hide(numbers, 'toLocaleString', function toLocaleString(locales = undefined, options = undefined) {
      const format = options === undefined ? formatOf(languageOf(locales)) : new NumberFormat(locales, options);
      return format.format(numbers.valueOf.call(this));
    });
  }

  const Intl = {};
  hide(Intl, 'Collator', Collator);
  hide(Intl, 'NumberFormat', NumberFormat);
  hide(Intl, 'getCanonicalLocales', (locales) => Array.from(new Set(languages(locales))));
  hide(Intl, Symbol.toStringTag, 'Intl');
  hide(globalThis, 'Intl', Intl);
};
