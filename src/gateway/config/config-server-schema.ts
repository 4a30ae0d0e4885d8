/** The gateway as Spring Cloud Config Server: accounts for a Clouddriver without SQL. */

import Type from 'typebox';
import { count, flag, list } from './leaf-schemas.js';

export const configServer = Type.Object(
  {
    enabled: flag(
      'Answer `GET /APPLICATION/PROFILES` with the accounts, as a Spring Cloud Config Server. Callers need `accountTokens: true` in their rule ([security](security.md)), because the answer contains tokens.',
      false,
    ),
    applications: list('Names of the applications that may ask (`spring.application.name`).', ['clouddriver'], {
      items: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$' }),
      expected: 'a list of names such as clouddriver',
    }),
    anonymous: flag(
      'Answer callers without credentials as well, if `server.auth.anonymousRole` is not `none`: anyone who reaches the port can then take over every account.',
      false,
    ),
    refresh: Type.Object(
      {
        urls: list(
          'Base URLs of the Clouddrivers to ask (`POST /refresh`) after accounts have changed. A name is asked at all its addresses: use a headless Service.',
          [],
          {
            items: Type.String({ pattern: '^https?://[^/?#@]+(/[^?#]*)?$' }),
            expected: 'a list of URLs such as http://spin-clouddriver-pods.spinnaker:7002',
          },
        ),
        intervalSeconds: count('Shortest time between two requests to one Clouddriver.', 5, 1, 86_400),
      },
      { description: 'How Clouddrivers learn of changed accounts. One instance asks them.' },
    ),
  },
  { description: 'Accounts by Spring Cloud Config: see [Spinnaker](spinnaker.md).' },
);
