/**
 * Which proxy leads to a server, by HTTPS_PROXY, HTTP_PROXY and NO_PROXY: the rules of Go's
 * golang.org/x/net/http/httpproxy, which kubectl and Armory's agent follow.
 */

import { BlockList, isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import type { Environment } from './environment.js';
import { TellableError } from './errors.js';

/**
 * @returns undefined if the server is reached without one.
 * @throws TellableError if the variable is not the address of a proxy
 */
export function proxyFor(server: URL, environment: Environment): URL | undefined {
  const names = server.protocol === 'https:' ? ['HTTPS_PROXY', 'https_proxy'] : ['HTTP_PROXY', 'http_proxy'];
  const [name, value] = variable(environment, names);
  if (value === undefined || !usesProxy(server, variable(environment, ['NO_PROXY', 'no_proxy'])[1] ?? ''))
    return undefined;
  const url = parsed(value);
  const proxy = url === undefined || url.host === '' ? parsed(`http://${value}`) : url;
  // The address itself may contain a password.
  if (proxy === undefined || !isProxy(proxy)) {
    throw new TellableError(`${name}: expected the address of a proxy, http://, https:// or socks5://`);
  }
  return proxy;
}

/** Whether this kind of proxy is supported, and its name and password can be read. */
export function isProxy({ protocol, username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password);
  } catch {
    return false;
  }
  return ['http:', 'https:', 'socks5:'].includes(protocol);
}

/** Whether NO_PROXY leaves the server to the proxy. */
export function usesProxy({ hostname, port: given, protocol }: URL, noProxy: string): boolean {
  const host = hostname.replace(/^\[|\]$/gu, '').toLowerCase();
  const port = given === '' ? { 'https:': '443', 'http:': '80' }[protocol] : given;
  if (host === 'localhost' || isLoopback(host)) return false;
  return !noProxy.split(',').some((entry) => matches(entry.trim().toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: string | undefined): boolean {
  if (entry === '') return false;
  if (entry === '*') return true;
  const [address = '', prefix] = entry.split('/', 2);
  if (prefix !== undefined && isIP(address) !== 0) return isInRange(host, address, prefix);
  // HOST:PORT, [IPV6]:PORT, or a host alone.
  const [, bracketed, plain, entryPort] = /^(?:\[(.*)\]|([^:]*)):([^:]*)$/u.exec(entry) ?? [];
  const name = bracketed ?? plain ?? entry;
  if (name === '' || (entryPort !== undefined && entryPort !== '' && entryPort !== port)) return false;
  if (isIP(name) !== 0) return isInRange(host, name, isIP(name) === 4 ? '32' : '128');
  const domain = name.replace(/^\*(?=\.)/u, '');
  const suffix = domain.startsWith('.') ? domain : `.${domain}`;
  const ascii = domainToASCII(suffix.slice(1));
  const wanted = ascii === '' ? suffix : `.${ascii}`;
  return host.endsWith(wanted) || (domain !== suffix && host === wanted.slice(1));
}

function isInRange(host: string, address: string, prefix: string): boolean {
  if (isIP(host) === 0 || !/^\d{1,3}$/u.test(prefix)) return false;
  const range = new BlockList();
  try {
    range.addSubnet(address, Number(prefix), family(address));
  } catch {
    // More bits than an address has.
    return false;
  }
  return range.check(host, family(host));
}

function isLoopback(host: string): boolean {
  return isInRange(host, '127.0.0.0', '8') || isInRange(host, '::1', '128');
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

function parsed(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}

function variable(environment: Environment, names: readonly string[]): [name: string, value: string | undefined] {
  for (const name of names) if (environment[name]) return [name, environment[name]];
  return ['', undefined];
}
