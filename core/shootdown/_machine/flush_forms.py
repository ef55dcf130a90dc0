"""The steps of a flush by the names that architectures lower it with: keywords for flag bits, the kernel's words."""

from __future__ import annotations

from shootdown._machine import ops as o
from shootdown._machine.arguments import truth
from shootdown._machine.builders.every import Builders
from shootdown._values.sites import mistake


class FlushForms(Builders):
    """The steps, and convenient forms of those that make a flush."""

    def begin_flush(
        self,
        g: int,
        *,
        ceiling: int,
        pages: int = 0,
        rounded: bool = False,
        in_pages: bool = False,
        tracked: bool = True,
        stride: int = 0,
        everything: bool = False,
        one_size: bool = False,
        pmd_too: bool = False,
        whole_strides: bool = False,
        empty_too: bool = False,
        text: str = "new tlb_gen; decide how much to flush",
    ) -> None:
        """Start the flush of gather `g`: everything if its range is too long.

        Args:
            g: the gather.
            ceiling: the most strides that are flushed one by one; a longer range becomes a full flush.
            pages: likewise the most base pages; 0 for no limit.
            rounded: the range is rounded outwards to whole strides first.
            in_pages: the rest of the flush counts base pages, not strides.
            tracked: CPUs that the flush does not reach catch up by tlb_gen; False on architectures without tlb_gen.
            stride: `BASE_STRIDES` or `PMD_STRIDES` for a fixed stride; `PAIR_STRIDES` where one TLB entry translates
                an even page and the odd one after it (LoongArch, MIPS): the range is rounded to pairs, and each stride
                is one; 0: the stride of the level that was cleared.
            everything: all of the mm goes, whatever the gather recorded (flush_tlb_mm()).
            one_size: the instructions name a page size: translations of pages of another size than the stride stay.
            pmd_too: those of whole PMD entries are invalidated besides.
            whole_strides: an instruction drops all that lies within its stride, translations of smaller pages too, as
                s390's IDTE of an entry does.
            empty_too: of an empty range the first address is invalidated, where the kernel only asks whether a range is
                longer than a stride; otherwise nothing is.
            text: what the step does, for stories.
        """
        for what, number, least in (("ceiling", ceiling, -1), ("pages", pages, 0), ("stride", stride, 0)):
            if isinstance(number, bool) or not isinstance(number, int) or number < least:
                raise mistake(f"begin_flush(): {what} is {number!r:.40}: a whole number from {least} on")
        page_of_huge = o.BASE_STRIDES | o.PMD_STRIDES  # one address, whatever the size of the page there
        if stride not in (0, o.BASE_STRIDES, o.PMD_STRIDES, o.PAIR_STRIDES, page_of_huge):
            raise mistake(
                f"begin_flush(): stride is {stride}: one of ops.BASE_STRIDES, PMD_STRIDES and PAIR_STRIDES, or 0 for "
                "that of the level that was cleared"
            )
        asked = (
            (o.ROUNDED, rounded, "rounded"),
            (o.IN_PAGES, in_pages, "in_pages"),
            (o.EVERYTHING, everything, "everything"),
            (o.ONE_SIZE, one_size, "one_size"),
            (o.PMD_TOO, pmd_too, "pmd_too"),
            (o.WHOLE_STRIDES, whole_strides, "whole_strides"),
            (o.EMPTY_TOO, empty_too, "empty_too"),
        )
        how = stride | (0 if truth(tracked, "tracked") else o.UNTRACKED)
        for flag, value, name in asked:
            how |= flag * truth(value, name)
        self.flush_begin(g, ceiling, pages, how, cost="flush_ns", text=text)

    def target_mm_cpumask(self, *, with_self: bool = False) -> None:
        """Target the CPUs in mm_cpumask, without this one unless `with_self`."""
        self.target_mm(with_self=with_self, text="targets: mm_cpumask")

    def target_all_online(self) -> None:
        """Target all other online CPUs."""
        self.target_online(text="targets: all online CPUs")

    def drop_lazy_targets(self) -> None:
        """Leave out targets in lazy TLB mode."""
        self.target_not_lazy(text="leave lazy CPUs out")

    def drop_targets_not_loaded(self) -> None:
        """Leave out targets that have another mm loaded, unless mm_cpumask is due for trimming."""
        self.target_loaded(text="leave out CPUs that loaded another mm")

    def flag_preempted_targets(self) -> None:
        """Request a flush on guest entry from preempted vCPUs (KVM_VCPU_FLUSH_TLB), and leave them out."""
        self.target_running(text="preempted vCPUs flush when they enter")

    def keep_walking_targets(self) -> None:
        """Keep only targets that are inside a lockless walk of this mm."""
        self.target_walkers(text="keep CPUs inside a lockless walk of this mm")

    def send_flush_ipis(self, scope: int = o.SCOPE_BOTH) -> None:
        """Send the flush IPI to the targets; ranged flushes drop what `scope` says."""
        self.send(o.CALL_FLUSH, scope, text="IPI: flush_tlb_func")

    def wait_for_answers(self, text: str = "wait for all targets", *, preemptible: bool = False) -> None:
        """Wait until all targets have answered; `preemptible`: the kernel lets the task be preempted meanwhile."""
        self.wait(preemptible=preemptible, text=text)

    def complete(self, text: str) -> None:
        """Wait until broadcast invalidations have completed everywhere (TLBSYNC, DSB, tlbsync)."""
        self.wait(text=text)
        self.note(o.NOTE_COMPLETION, text=text)

    def flush_this_cpu(self, scope: int = o.SCOPE_BOTH) -> None:
        """Flush on this CPU as a target would."""
        self.flush_self(scope, text="flush_tlb_func on this CPU")

    def flush_here(self, scope: int = o.SCOPE_BOTH, *, text: str = "this CPU invalidates") -> None:
        """Invalidate on this CPU what `scope` says of the flush that has begun, whichever mm it has loaded.

        Args:
            scope: `ops.SCOPE_*`: TLB entries, walk-cache entries, or both.
            text: what the step does, for stories.
        """
        self.flush_self(scope, forced=1, text=text)

    def leave_mm_cpumask(
        self, *, here: bool = False, text: str = "CPUs that do not run the mm leave its mm_cpumask"
    ) -> None:
        """Take the CPUs that do not have the mm loaded, lazily or not, out of its mm_cpumask.

        They are reached by no later flush of the mm until they load it again. What they still hold has to be dropped by
        then: by this flush, or by one that they catch up with (`begin_flush(tracked=True)`).

        Args:
            here: this CPU alone.
            text: what the step does, for stories.
        """
        self.leave_mask(here, text=text)

    def invalidate_this_cpu(self, scope: int, *, text: str) -> None:
        """Invalidate on this CPU what `scope` says, whichever mm it has loaded."""
        self.flush_self(scope, forced=1, text=text)

    def broadcast(self, scope: int, *, text: str) -> None:
        """Let the broadcast instructions executed just before reach every CPU, this one included."""
        self.target_every(text="all CPUs, this one too")
        self.send(o.CALL_BROADCAST, scope, -1, text=text)
