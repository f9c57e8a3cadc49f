// URL and URLSearchParams, after the WHATWG standard.
//
// Not implemented: hosts are not converted to punycode, and IPv4 and IPv6 addresses
// are not shortened.
(() => {
  const PORTS = { 'http:': '80', 'https:': '443', 'ws:': '80', 'wss:': '443', 'ftp:': '21', 'file:': '' };
  const isSpecial = (protocol) => Object.hasOwn(PORTS, protocol);

  // Characters written as %XX, in addition to controls and non-ASCII characters.
  const FRAGMENT = ' "<>`';
  const QUERY = ' "#<>';
  const PATH = ' "#<>?^`{}';
  const USER = ' "#<>?`{}/:;=@[\\]^|';

  const escape = (text, set) =>
    Array.from(text.toWellFormed(), (char) => {
      if (char > '~') return char === '\x7f' ? '%7F' : encodeURIComponent(char);
      return char < ' ' || set.includes(char) ? hex(char.charCodeAt(0)) : char;
    }).join('');

  const hex = (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;

  const unescape = (text) => {
    if (!text.includes('%')) return text;
    const bytes = new TextEncoder().encode(text);
    const plain = [];
    for (let at = 0; at < bytes.length; at++) {
      const pair = String.fromCharCode(...bytes.slice(at + 1, at + 3));
      const escaped = bytes[at] === 0x25 && /^[0-9a-f]{2}$/i.test(pair);
      plain.push(escaped ? parseInt(pair, 16) : bytes[at]);
      if (escaped) at += 2;
    }
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(plain));
  };

  // A URL in parts. `path` is a string if it is opaque (`mailto:a`), else a list.
  const parse = (input, base) => {
    const text = String(input).replace(/^[\0- ]+|[\0- ]+$/g, '').replace(/[\t\n\r]/g, '');
    const [, body, , fragment] = /^([^#]*)(#(.*))?$/s.exec(text);
    const hash = fragment === undefined ? null : escape(fragment, FRAGMENT);
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(body);
    const protocol = scheme?.[0].toLowerCase();
    const rest = scheme ? body.slice(scheme[0].length) : body;
    const inherits = isSpecial(protocol) && base?.protocol === protocol && !/^[/\\]/.test(rest);
    if (!scheme || inherits) return { ...relative(rest, base, body === ''), hash };
    return { ...absolute(protocol, rest), hash };
  };

  const absolute = (protocol, rest) => {
    const special = isSpecial(protocol);
    if (special && protocol !== 'file:') return withAuthority(protocol, rest.replace(/^[/\\]*/, ''));
    if (special ? /^[/\\]{2}/.test(rest) : rest.startsWith('//')) return withAuthority(protocol, rest.slice(2));
    const [path, search] = splitSearch(rest, protocol);
    if (!special && !path.startsWith('/')) return { ...bare(protocol), host: null, path: escape(path, ''), search };
    return { ...bare(protocol), host: special ? '' : null, path: segments(path, [], special), search };
  };

  const relative = (rest, base, onlyHash) => {
    if (!base || (typeof base.path === 'string' && !onlyHash)) throw new TypeError('Invalid URL');
    const special = isSpecial(base.protocol);
    if (special ? /^[/\\]{2}/.test(rest) : rest.startsWith('//')) return withAuthority(base.protocol, rest.slice(2));
    const [path, search] = splitSearch(rest, base.protocol);
    if (path === '') return { ...base, search: search ?? base.search };
    const below = /^\//.test(special ? path.replace(/\\/g, '/') : path) ? [] : base.path.slice(0, -1);
    return { ...base, path: segments(path, below, special), search };
  };

  const bare = (protocol) => ({ protocol, username: '', password: '', port: '' });

  const withAuthority = (protocol, rest) => {
    const special = isSpecial(protocol);
    const end = rest.search(special ? /[/\\?]/ : /[/?]/);
    const authority = end < 0 ? rest : rest.slice(0, end);
    const at = authority.lastIndexOf('@');
    const [username, ...password] = authority.slice(0, Math.max(at, 0)).split(':');
    const [host, port] = splitPort(authority.slice(at + 1), protocol);
    const [path, search] = splitSearch(end < 0 ? '' : rest.slice(end), protocol);
    return {
      protocol,
      username: escape(username, USER),
      password: escape(password.join(':'), USER),
      host: parseHost(host, protocol),
      port,
      path: path === '' && !special ? [] : segments(path, [], special),
      search,
    };
  };

  const splitPort = (text, protocol) => {
    const found = /^(\[[^\]]*\]|[^:]*)(?::(\d*))?$/.exec(text);
    if (!found || Number(found[2]) > 65535) throw new TypeError('Invalid URL');
    const port = found[2] ? String(Number(found[2])) : '';
    return [found[1], port === PORTS[protocol] ? '' : port];
  };

  const parseHost = (text, protocol) => {
    const special = isSpecial(protocol);
    const host = special ? unescape(text).toLowerCase() : escape(text, '');
    if (special && protocol !== 'file:' && host === '') throw new TypeError('Invalid URL');
    const wrong = /^\[[0-9a-f:.]+\]$/i.test(host) ? false : /[\0-\x20#/:<>?@[\\\]^|\x7f]/.test(host) || (special && host.includes('%'));
    if (wrong) throw new TypeError('Invalid URL');
    return protocol === 'file:' && host === 'localhost' ? '' : host;
  };

  const splitSearch = (text, protocol) => {
    const at = text.indexOf('?');
    if (at < 0) return [text, null];
    return [text.slice(0, at), escape(text.slice(at + 1), isSpecial(protocol) ? `${QUERY}'` : QUERY)];
  };

  const segments = (text, below, special) => {
    const path = [...below];
    const parts = (special ? text.replace(/\\/g, '/') : text).replace(/^\//, '').split('/');
    parts.forEach((part, index) => {
      const plain = part.replace(/%2e/gi, '.');
      if (plain === '..') path.pop();
      else if (plain !== '.') path.push(escape(part, PATH));
      if ((plain === '..' || plain === '.') && index === parts.length - 1) path.push('');
    });
    return path;
  };

  class URLSearchParams {
    #pairs = [];
    #changed = () => {};

    constructor(init = '', changed) {
      if (typeof changed === 'function') this.#changed = changed;
      this.#pairs = pairsOf(init);
    }
    get size() {
      return this.#pairs.length;
    }
    append(name, value) {
      this.#replace([...this.#pairs, [String(name), String(value)]]);
    }
    delete(name, value) {
      this.#replace(this.#pairs.filter(([key, part]) => key !== String(name) || (value !== undefined && part !== String(value))));
    }
    get(name) {
      return this.#pairs.find(([key]) => key === String(name))?.[1] ?? null;
    }
    getAll(name) {
      return this.#pairs.filter(([key]) => key === String(name)).map(([, value]) => value);
    }
    has(name, value) {
      return this.#pairs.some(([key, part]) => key === String(name) && (value === undefined || part === String(value)));
    }
    set(name, value) {
      const first = this.#pairs.findIndex(([key]) => key === String(name));
      if (first < 0) return this.append(name, value);
      const rest = this.#pairs.filter(([key], index) => index <= first || key !== String(name));
      this.#replace(rest.with(first, [String(name), String(value)]));
    }
    sort() {
      this.#replace(this.#pairs.toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
    }
    forEach(callback, self) {
      for (const [name, value] of this.#pairs) callback.call(self, value, name, this);
    }
    *entries() {
      for (const [name, value] of this.#pairs) yield [name, value];
    }
    *keys() {
      for (const [name] of this.#pairs) yield name;
    }
    *values() {
      for (const [, value] of this.#pairs) yield value;
    }
    [Symbol.iterator]() {
      return this.entries();
    }
    toString() {
      return this.#pairs.map((pair) => pair.map(encodeForm).join('=')).join('&');
    }
    #replace(pairs) {
      this.#pairs = pairs;
      this.#changed(this.toString());
    }
  }

  const pairsOf = (init) => {
    if (typeof init !== 'object' || init === null) {
      const parts = String(init).replace(/^\?/, '').split('&').filter(Boolean);
      return parts.map((part) => {
        const at = part.indexOf('=');
        return at < 0 ? [decodeForm(part), ''] : [decodeForm(part.slice(0, at)), decodeForm(part.slice(at + 1))];
      });
    }
    const entries = typeof init[Symbol.iterator] === 'function' ? Array.from(init, (pair) => Array.from(pair)) : Object.entries(init);
    if (entries.some((pair) => pair.length !== 2)) throw new TypeError('each pair has to have a name and a value');
    return entries.map((pair) => pair.map(String));
  };

  const encodeForm = (text) =>
    encodeURIComponent(text.toWellFormed()).replace(/%20/g, '+').replace(/[!'()~]/g, (char) => hex(char.charCodeAt(0)));
  const decodeForm = (text) => unescape(text.replaceAll('+', ' '));

  class URL {
    #parts;
    #params;

    constructor(input, base) {
      this.#parts = parse(input, base === undefined ? undefined : parse(base));
      this.#params = this.#freshParams();
    }
    static canParse(input, base) {
      return URL.parse(input, base) !== null;
    }
    static parse(input, base) {
      try {
        return new URL(input, base);
      } catch {
        return null;
      }
    }
    get href() {
      const { host, username, password, path, search, hash } = this.#parts;
      const user = username || password ? `${username}${password && `:${password}`}@` : '';
      const authority = host === null ? (Array.isArray(path) && path.length > 1 && path[0] === '' ? '/.' : '') : `//${user}${this.host}`;
      const query = search === null ? '' : `?${search}`;
      return `${this.protocol}${authority}${this.pathname}${query}${hash === null ? '' : `#${hash}`}`;
    }
    set href(value) {
      this.#parts = parse(value);
      this.#params = this.#freshParams();
    }
    get origin() {
      const { protocol } = this.#parts;
      if (protocol === 'blob:') return URL.parse(this.pathname)?.origin ?? 'null';
      return isSpecial(protocol) && protocol !== 'file:' ? `${protocol}//${this.host}` : 'null';
    }
    get protocol() {
      return this.#parts.protocol;
    }
    set protocol(value) {
      const protocol = `${String(value).replace(/:.*$/s, '').toLowerCase()}:`;
      const fits = isSpecial(protocol) === isSpecial(this.protocol) && /^[a-z][a-z0-9+.-]*:$/.test(protocol);
      if (fits) this.#parts = { ...this.#parts, protocol, port: this.port === PORTS[protocol] ? '' : this.port };
    }
    get username() {
      return this.#parts.username;
    }
    set username(value) {
      if (this.#parts.host) this.#parts.username = escape(String(value), USER);
    }
    get password() {
      return this.#parts.password;
    }
    set password(value) {
      if (this.#parts.host) this.#parts.password = escape(String(value), USER);
    }
    get host() {
      return this.port ? `${this.hostname}:${this.port}` : this.hostname;
    }
    set host(value) {
      this.#change(() => {
        const [host, port] = splitPort(String(value), this.protocol);
        return { host: parseHost(host, this.protocol), port: port || this.port };
      });
    }
    get hostname() {
      return this.#parts.host ?? '';
    }
    set hostname(value) {
      this.#change(() => ({ host: parseHost(String(value), this.protocol) }));
    }
    get port() {
      return this.#parts.port;
    }
    set port(value) {
      this.#change(() => ({ port: splitPort(`:${value}`, this.protocol)[1] }));
    }
    get pathname() {
      const { path } = this.#parts;
      return typeof path === 'string' ? path : path.map((part) => `/${part}`).join('');
    }
    set pathname(value) {
      this.#change(() => ({ path: segments(String(value), [], isSpecial(this.protocol)) }));
    }
    get search() {
      return this.#parts.search ? `?${this.#parts.search}` : '';
    }
    set search(value) {
      const text = String(value).replace(/^\?/, '');
      this.#parts.search = text === '' ? null : splitSearch(`?${text}`, this.protocol)[1];
      this.#params = this.#freshParams();
    }
    get searchParams() {
      return this.#params;
    }
    get hash() {
      return this.#parts.hash ? `#${this.#parts.hash}` : '';
    }
    set hash(value) {
      const text = String(value).replace(/^#/, '');
      this.#parts.hash = text === '' ? null : escape(text, FRAGMENT);
    }
    toString() {
      return this.href;
    }
    toJSON() {
      return this.href;
    }
    // A setter with an invalid value changes nothing.
    #change(make) {
      if (typeof this.#parts.path === 'string') return;
      try {
        this.#parts = { ...this.#parts, ...make() };
      } catch {}
    }
    #freshParams() {
      return new URLSearchParams(this.#parts.search ?? '', (search) => {
        this.#parts.search = search === '' ? null : search;
      });
    }
  }

  for (const type of [URL, URLSearchParams]) {
    Object.defineProperty(globalThis, type.name, { value: type, writable: true, configurable: true });
  }
})();
