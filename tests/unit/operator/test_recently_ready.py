from mcppool_operator.recently_ready import RECENT, RecentlyReady


def test_endpoints_that_stop_being_ready_one_after_the_other_are_all_remembered() -> None:
    memory = RecentlyReady()
    assert memory.update("ns/search", ["a", "b", "c"], 0.0) == {"a", "b", "c"}
    assert memory.update("ns/search", ["b", "c"], 5000.0) == {"a", "b", "c"}, "a was ready until now"
    assert memory.update("ns/search", ["c"], 5001.0) == {"a", "b", "c"}
    assert memory.update("ns/search", [], 5002.0) == {"a", "b", "c"}


def test_an_endpoint_is_forgotten_after_a_while_and_remembered_anew_when_it_was_ready_again() -> None:
    memory = RecentlyReady()
    memory.update("ns/search", ["a", "b"], 0.0)
    memory.update("ns/search", ["b"], 10.0)
    assert memory.update("ns/search", ["b"], 10.0 + RECENT) == {"b"}
    memory.update("ns/search", ["a", "b"], 400.0)
    memory.update("ns/search", ["b"], 500.0)
    assert memory.update("ns/search", ["b"], 499.0 + RECENT) == {"a", "b"}


def test_pools_do_not_share_endpoints_and_a_deleted_pool_leaves_none() -> None:
    memory = RecentlyReady()
    memory.update("ns/search", ["a"], 0.0)
    assert memory.update("ns/docs", [], 0.0) == frozenset()
    memory.forget("ns/search")
    assert memory.update("ns/search", [], 1.0) == frozenset()
