/** Who a peer has proven to be, by its certificate or by a token. */

import type { CertificateNames } from './certificate.js';

export interface Identity {
  /**
   * Stable over renewed certificates and tokens: `spiffe://...`, `x509:CN=...`, `dns:...`, `token:NAME`, `jwt:SUBJECT`,
   * `kubernetes:system:serviceaccount:NAMESPACE:NAME`; where a policy gives it a name, `policy:NAME`.
   */
  readonly name: string;
  readonly certificate?: CertificateNames;
  /** Of a static token: its name. */
  readonly token?: string;
  /** Of a JWT, its claims; of a Kubernetes token `sub` (the user name) and `groups`. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** When the proof is no longer valid, Unix ms. */
  readonly expiresAt?: number;
}

/** What a peer shows; whatever is shown has to hold. */
export interface Credentials {
  /** The certificate of its TLS connection (DER), which a trusted authority has signed. */
  readonly certificate?: Buffer | undefined;
  /** The header, as it came: `Bearer TOKEN`. */
  readonly authorization?: string | undefined;
}
