import { test } from 'tap';

import { accountRecord, statusOf, waitingIds, waitingText } from '../../../src/store/accounts/account-row.js';

const row: Parameters<typeof accountRecord>[0] = {
  name: 'production',
  last_updated: 1,
  kube_version: null,
  kube_host: null,
  cert_fingerprint: null,
  max_watch_age_seconds: null,
  props: null,
  zone_id: null,
  dynamic: false,
  status: null,
  definition: null,
  error_message: null,
  failed_count: 0,
  connections: 0,
  assignments_version: 1,
  caching_free_time: 0,
  caching_agent_id: null,
  definition_version: 0,
  due_time: null,
  waiting_cd_ids: null,
  claimed_by_cd_id: null,
  write_token: null,
};

test('waiting instances come back as they were written', async (t) => {
  t.same(waitingIds(waitingText(['b', 'a'])), ['b', 'a']);
  t.same(waitingIds(waitingText([])), []);
  t.same(waitingIds(null), []);
});

test('an instance whose id is a part of another one is not found in it', async (t) => {
  const text = waitingText(['gateway-10', 'gateway-2']);
  t.notOk(text.includes(waitingText(['gateway-1'])));
  t.ok(text.includes(waitingText(['gateway-2'])));
  t.same(waitingIds(text.replace(waitingText(['gateway-10']), '')), ['gateway-2']);
});

test('a row without a status is an active account', async (t) => {
  t.equal(statusOf({ status: null }), 'ACTIVE');
  t.equal(statusOf({ status: 'FAILED' }), 'FAILED');
});

test('properties of another shape come as empty ones', async (t) => {
  for (const props of [null, '', 'not JSON', 'null', '7']) {
    const { namespaces, properties } = accountRecord({ ...row, props });
    t.same({ namespaces, properties }, { namespaces: [], properties: {} }, String(props));
  }
});

test('a row becomes a record; what it does not have is absent', async (t) => {
  const props = JSON.stringify({ namespaces: ['default'], properties: { team: 'a' } });
  const record = accountRecord({ ...row, props, zone_id: 'eu', definition: '{}' });
  t.match(record, { name: 'production', status: 'ACTIVE', zoneId: 'eu', definition: '{}' });
  t.same({ ...record.properties, namespaces: record.namespaces }, { team: 'a', namespaces: ['default'] });
  t.notOk('errorMessage' in record);
});
