/**
 * The part of WebAssembly's JavaScript interface that the Python tool uses: it is a global of every engine, but of no
 * library that a project without the DOM includes. Source: the WebAssembly JavaScript interface (W3C), sections 5.1 to 5.6.
 */
declare namespace WebAssembly {
  /** Compiled code; can be posted to another thread, which shares it. */
  class Module {
    private readonly brand: 'module';
    static imports(module: Module): { module: string; name: string; kind: string }[];
  }
  class Memory {
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
  class Table {
    get(index: number): unknown;
  }
  class Global {
    value: unknown;
  }
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, unknown>>);
    readonly exports: Record<string, unknown>;
  }
  function compile(bytes: Uint8Array<ArrayBuffer>): Promise<Module>;
}
