/** What is wrong: `code` is one of clause 9, `message` one sentence for people. */
export class SeqrecError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "SeqrecError";
    this.code = code;
  }
}
