export { startServer } from "./serve/server.ts";
