/** The worker in a thread of Node. */
import { parentPort } from "node:worker_threads";

globalThis.self = parentPort;
await import("./worker.js");
