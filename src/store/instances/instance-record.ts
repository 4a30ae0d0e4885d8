/** A replica as the others see it: a row of kubesvc_instances. */

export interface InstanceRegistration {
  readonly id: string;
  readonly baseUrl: string;
  readonly version: string;
  /** Agents registered on it, for rebalancing. */
  readonly agents: number;
}

export interface InstanceRecord extends InstanceRegistration {
  /** Last heartbeat, in ms UTC on the database's clock; 0 once the instance has ended its lease. */
  readonly lastHeartbeatTime: number;
  /** When it first took a lease under this id, likewise. */
  readonly firstSeenTime: number;
}
