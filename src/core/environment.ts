/** Variables of the environment, as `process.env` has them; handed down from the command line, never read elsewhere. */
export type Environment = Readonly<Record<string, string | undefined>>;
