/** Where another replica is, and how TLS to it is spoken. */

/** An instance to talk to. */
export interface PeerAddress {
  readonly id: string;
  readonly baseUrl: string;
}

export interface PeerTls {
  /** Absent: the CA certificates that Node.js trusts. */
  readonly ca?: Buffer | undefined;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
  readonly passphrase?: string | undefined;
  /** The name that the peer's certificate must have, instead of its host name. */
  readonly servername?: string | undefined;
}
