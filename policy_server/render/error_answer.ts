/** The body of an error (`spec/policy-server.md §5.4`). */
export function errorAnswer(status: number, message: string): string {
  return JSON.stringify({ message, status });
}
