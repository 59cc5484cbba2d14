/**
 * Milliseconds of processor time that this thread has used. Lateness is measured by it instead of by the wall clock, so that a busy
 * machine makes nothing late. Both runtimes have it; where one hasn't, the time of the whole process is an upper bound.
 */
export function usedMs(): number {
  const { user, system } = (process.threadCpuUsage ?? process.cpuUsage)();
  return (user + system) / 1000;
}
