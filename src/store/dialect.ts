/** The only place where SQL differs between engines. */
export interface SqlDialect {
  readonly engine: "mysql" | "postgresql";
}
