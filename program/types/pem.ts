/** PEM texts, which may be private keys. */

/** Whether a text holds PEM: no message quotes it. */
export const holdsPem = (text: string): boolean => text.includes("-----BEGIN ");
