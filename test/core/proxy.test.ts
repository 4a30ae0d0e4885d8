/** The table of golang.org/x/net/http/httpproxy's own tests, and what it says in words. */

import { test } from 'tap';
import { proxyFor, usesProxy } from '../../src/core/proxy.js';

test('NO_PROXY', (t) => {
  const noProxy =
    'foobar.com, .barbaz.net, *.stars.org, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, 2001:db8::52:0:1, ' +
    '[2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64, bücher.ch';
  const table: Record<string, boolean> = {
    'http://localhost': false,
    'https://127.0.0.1': false,
    'https://127.9.9.9': false,
    'https://[::1]': false,
    'http://barbaz.net': true,
    'http://www.barbaz.net': false,
    'http://foobar.com': false,
    'http://www.foobar.com': false,
    'http://foofoobar.com': true,
    'http://stars.org': true,
    'http://a.stars.org': false,
    'http://192.168.1.1': false,
    'http://192.168.1.2': true,
    'http://192.168.1.2:81': false,
    'http://192.168.1.3': false,
    'https://192.168.1.3': true,
    'http://192.168.1.4': true,
    'https://10.0.0.2': false,
    'https://10.0.0.4': true,
    'https://[2001:db8::52:0:1]': false,
    'https://[2001:db8::52:0:2]': false,
    'https://[2001:db8::52:0:3]': true,
    'https://[2002:db8:a::123]': false,
    'https://[fe80::424b:c8be:1643:a1b6]': true,
    'https://xn--bcher-kva.ch': false,
    'https://a.xn--bcher-kva.ch': false,
    'https://google.com': true,
  };
  for (const [url, expected] of Object.entries(table)) t.equal(usesProxy(new URL(url), noProxy), expected, url);
  t.equal(usesProxy(new URL('https://google.com'), '*'), false);
  t.equal(usesProxy(new URL('https://google.com'), ' ,, 10.0.0.0/99, :1'), true);
  t.end();
});

test('the variables', (t) => {
  const of = (url: string, environment: Record<string, string>): string | undefined =>
    proxyFor(new URL(url), environment)?.href;
  const both = { HTTPS_PROXY: 'http://secure:1', HTTP_PROXY: 'plain:2', https_proxy: 'http://lower:3' };
  t.equal(of('https://api.example', both), 'http://secure:1/');
  t.equal(of('http://api.example', both), 'http://plain:2/');
  t.equal(of('https://api.example', { https_proxy: '10.0.0.1:3128' }), 'http://10.0.0.1:3128/');
  t.equal(of('https://api.example', { HTTP_PROXY: 'http://plain' }), undefined);
  t.equal(of('https://api.example', { ...both, no_proxy: 'example' }), undefined);
  t.throws(() => of('https://api.example', { HTTPS_PROXY: 'ftp://me:hunter2@proxy' }), {
    message: 'HTTPS_PROXY: expected the address of a proxy, http://, https:// or socks5://',
  });
  t.end();
});
