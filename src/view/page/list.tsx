// A list of which only the rows on the screen exist.
import { Virtualizer, elementScroll, observeElementOffset, observeElementRect }
  from "@tanstack/virtual-core";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useReducer, useRef } from "preact/hooks";

export interface ListHandle { show(index: number): void; page(): number }

interface Props {
  count: number;
  height: number;                       // of a row
  row: (index: number, top: number) => ComponentChildren;
  seen?: (first: number, last: number) => void;
  handle?: { current: ListHandle | null };
  [attribute: string]: unknown;         // of the element that scrolls
}

export function List({ count, height, row, seen, handle, ...attributes }: Props) {
  const element = useRef<HTMLDivElement>(null);
  const [, again] = useReducer((n: number) => n + 1, 0);
  const box = useRef<Virtualizer<HTMLDivElement, HTMLDivElement> | undefined>(undefined);
  const options = {
    count, getScrollElement: () => element.current, estimateSize: () => height, overscan: 12,
    scrollToFn: elementScroll, observeElementRect, observeElementOffset,
    onChange: (_: unknown, sync: boolean) => { void sync; again(0); },
  };
  if (!box.current) box.current = new Virtualizer(options);
  const list = box.current;
  list.setOptions(options);
  useLayoutEffect(() => list._didMount(), []);
  useLayoutEffect(() => list._willUpdate());

  if (handle) handle.current = {
    show: (index) => list.scrollToIndex(index, { align: "auto" }),
    page: () => Math.max(1, Math.floor((element.current?.clientHeight ?? 0) / height) - 1),
  };
  const items = list.getVirtualItems();
  const first = items[0]?.index ?? 0, last = items[items.length - 1]?.index ?? -1;
  useEffect(() => { seen?.(first, last); }, [first, last, count, seen]);
  return <div ref={element} {...attributes}>
    <div class="rows" style={{ height: `${list.getTotalSize()}px` }} role="presentation">
      {items.map((item) => row(item.index, item.start))}
    </div>
  </div>;
}
