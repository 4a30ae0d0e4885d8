/** The identity that a client has proven, by its certificate or by a token. */

import type { CertificateNames } from './certificate.js';

export interface Identity {
  /**
   * Stable over renewed certificates and tokens: `spiffe://...`, `x509:CN=...`, `dns:...`, `token:NAME`, `jwt:SUBJECT`,
   * `kubernetes:system:serviceaccount:NAMESPACE:NAME`; if a policy gives it a name, `policy:NAME`.
   */
  readonly name: string;
  readonly certificate?: CertificateNames;
  /** Of a static token: its name. */
  readonly token?: string;
  /** Of a JWT, its claims; of a Kubernetes token `sub` (the user name) and `groups`. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** When the credential expires, Unix ms. */
  readonly expiresAt?: number;
}

/** The credentials that a client presents; every one presented must be valid. */
export interface Credentials {
  /** The certificate of its TLS connection (DER), which a trusted authority has signed. */
  readonly certificate?: Buffer | undefined;
  /** The header, as it came: `Bearer TOKEN`. */
  readonly authorization?: string | undefined;
}
