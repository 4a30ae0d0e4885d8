/**
 * References of Spinnaker's secret engines (https://spinnaker.io/docs/reference/secrets/):
 * `encrypted:k8s!n:NAME!k:KEY`, `encryptedFile:vault!...`, `secret://secrets-manager?...`. They are not resolved here;
 * taken literally they would be sent as passwords or looked for as files, so code that finds one must refuse it.
 */

/** Whether the text is such a reference. */
export function isSecretReference(text: string): boolean {
  return /^\s*(?:encrypted(?:File)?:|secret:\/\/)/iu.test(text);
}

/** Whether a document, such as a kubeconfig, has one as a value. */
export function holdsSecretReference(document: string): boolean {
  return /[\s'":,{[](?:encrypted(?:File)?:[\w-]+!|secret:\/\/)/iu.test(document);
}
