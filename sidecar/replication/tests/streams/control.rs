//! Cutting, pausing, and what people are told meanwhile.

use std::time::Duration;

use tidelog_core::EdgeState;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::hostile::pull;
use crate::net::{Dial, Net, edge, eventually, key, mesh, pause};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_edge_carries_nothing_until_it_is_healed_whichever_end_cuts() {
    for (dial, at) in [
        (Dial::Target, "us"),
        (Dial::Target, "eu"),
        (Dial::Source, "us"),
        (Dial::Source, "eu"),
    ] {
        let net = Net::running(&["eu", "us"], vec![edge("eu", "us").dialled_by(dial)]).await;
        net.append("eu", "before").await;
        net.settle(&["us"], 1).await;
        net.replication(at).cut(&key("eu", "us")).unwrap();
        assert_eq!(net.replication(at).cut_edges(), vec![key("eu", "us")]);
        for end in ["eu", "us"] {
            net.until(end, "eu", "us", EdgeState::Unreachable).await;
        }
        net.append("eu", "meanwhile").await;
        pause(300).await;
        assert_eq!(net.ids("us").await.len(), 1, "{dial:?} {at}");
        net.replication(at).heal(&key("eu", "us")).unwrap();
        net.settle(&["us"], 2).await;
        net.until("eu", "eu", "us", EdgeState::Streaming).await;
        net.until("us", "eu", "us", EdgeState::Streaming).await;
    }
}

/// Carries bytes between a dialling location and the one it means, and tells when a connection ends.
async fn relay(
    to: std::net::SocketAddr,
) -> (std::net::SocketAddr, tokio::sync::watch::Receiver<i32>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (open, seen) = tokio::sync::watch::channel(0);
    let open = std::sync::Arc::new(open);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let open = open.clone();
            tokio::spawn(async move {
                let Ok(mut far) = TcpStream::connect(to).await else {
                    return;
                };
                open.send_modify(|n| *n += 1);
                let (mut near_in, mut near_out) = near.split();
                let (mut far_in, mut far_out) = far.split();
                // Either side closing ends the connection as a whole.
                tokio::select! {
                    _ = tokio::io::copy(&mut near_in, &mut far_out) => {},
                    _ = tokio::io::copy(&mut far_in, &mut near_out) => {},
                }
                open.send_modify(|n| *n -= 1);
            });
        }
    });
    (at, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_breaks_the_connection_itself_and_no_new_one_lasts() {
    for cut_at in ["eu", "us"] {
        let mut net = Net::planned(&["eu", "us"], vec![edge("eu", "us")]).await;
        net.start("eu").await;
        let (between, mut open) = relay(net.addresses["eu"]).await;
        let real = net.addresses.insert("eu", between).unwrap();
        net.start("us").await;
        net.addresses.insert("eu", real);
        net.until("us", "eu", "us", EdgeState::Streaming).await;
        assert_eq!(*open.borrow_and_update(), 1);
        net.replication(cut_at).cut(&key("eu", "us")).unwrap();
        tokio::time::timeout(Duration::from_secs(5), open.wait_for(|n| *n == 0))
            .await
            .expect("the connection is broken")
            .unwrap();
        net.replication(cut_at).heal(&key("eu", "us")).unwrap();
        tokio::time::timeout(Duration::from_secs(5), open.wait_for(|n| *n == 1))
            .await
            .expect("dialled again")
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_breaks_the_socket_of_a_peer_that_would_keep_it() {
    let mut net = Net::planned(&["eu", "us"], vec![edge("eu", "us")]).await;
    net.start("eu").await;
    let (between, mut open) = relay(net.addresses["eu"]).await;
    net.addresses.insert("eu", between);
    // It never hangs up by itself, whatever it hears.
    let puppet = pull(&net, 1, "", 1 << 20).await;
    net.until("eu", "eu", "us", EdgeState::Streaming).await;
    assert_eq!(*open.borrow_and_update(), 1);
    net.replication("eu").cut(&key("eu", "us")).unwrap();
    let broken = open.wait_for(|n| *n == 0);
    tokio::time::timeout(Duration::from_secs(5), broken)
        .await
        .expect("the connection is broken")
        .unwrap();
    let mut again = pull(&net, 2, "", 1 << 20).await;
    assert!(again.hear().await.is_none());
    let broken = open.wait_for(|n| *n == 0);
    tokio::time::timeout(Duration::from_secs(5), broken)
        .await
        .expect("a new one is broken too")
        .unwrap();
    drop((puppet, again));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_by_command_holds_over_a_restart_and_ends_with_a_resume() {
    for at in ["eu", "us"] {
        let mut net = Net::running(&["eu", "us"], vec![edge("eu", "us")]).await;
        net.append("eu", "before").await;
        net.settle(&["us"], 1).await;
        net.replication(at)
            .pause(&key("eu", "us"), true)
            .await
            .unwrap();
        // The end that dials is told; the other one is not dialled and cannot know why.
        net.until(at, "eu", "us", EdgeState::Paused).await;
        net.append("eu", "meanwhile").await;
        if at == "eu" {
            let told = net.until("us", "eu", "us", EdgeState::Paused).await;
            assert_eq!(told.reason, "PausedAtSource");
        }
        let store = net.stop(at).await;
        net.start_on(at, store).await;
        pause(300).await;
        assert_eq!(net.ids("us").await.len(), 1, "paused at {at}");
        let paused = net.until(at, "eu", "us", EdgeState::Paused).await;
        assert_eq!(paused.reason, "Paused");
        assert_eq!(paused.lag.events, None);
        net.replication(at)
            .pause(&key("eu", "us"), false)
            .await
            .unwrap();
        net.settle(&["us"], 2).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_of_the_plan_holds_beside_that_of_a_command() {
    let mut net = Net::running(&["eu", "us"], vec![edge("eu", "us")]).await;
    net.until("us", "eu", "us", EdgeState::Streaming).await;
    net.edges[0].paused = true;
    net.apply();
    net.until("us", "eu", "us", EdgeState::Paused).await;
    net.replication("us")
        .pause(&key("eu", "us"), true)
        .await
        .unwrap();
    net.edges[0].paused = false;
    net.apply();
    net.append("eu", "x").await;
    pause(200).await;
    net.until("us", "eu", "us", EdgeState::Paused).await;
    assert!(net.ids("us").await.is_empty());
    net.replication("us")
        .pause(&key("eu", "us"), false)
        .await
        .unwrap();
    net.settle(&["us"], 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edges_come_and_go_and_those_that_stay_are_not_disturbed() {
    let names = ["ap", "eu", "us"];
    let mut net = Net::running(&names, vec![edge("eu", "us")]).await;
    net.until("us", "eu", "us", EdgeState::Streaming).await;
    let before = net.status("us", "eu", "us").streams_total;
    net.edges.push(edge("us", "ap"));
    net.apply();
    net.append("eu", "x").await;
    net.settle(&["us", "ap"], 1).await;
    // What lies behind the source of the old edge is the same, so its stream runs on.
    assert_eq!(net.status("us", "eu", "us").streams_total, before);
    net.edges.remove(0);
    net.apply();
    eventually("the edge is gone", || async {
        net.try_status("us", "eu", "us").is_none() && net.try_status("eu", "eu", "us").is_none()
    })
    .await;
    net.append("eu", "not any more").await;
    net.append("us", "still").await;
    net.settle(&["ap"], 2).await;
    pause(200).await;
    assert_eq!(net.ids("us").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_is_counted_while_heard_and_unknown_when_not() {
    let mut net = Net::running(&["eu", "us"], vec![edge("eu", "us")]).await;
    net.append("eu", "x").await;
    net.settle(&["us"], 1).await;
    eventually("both know", || async {
        net.status("us", "eu", "us").lag.events == Some(0)
            && net.status("eu", "eu", "us").lag.events == Some(0)
    })
    .await;
    assert_eq!(net.status("us", "eu", "us").source_head, Some(1));
    let mut watch = net.replication("us").watch();
    net.stop("eu").await;
    // What was heard is true until then and unknown afterwards, never something else.
    let forgotten = async {
        loop {
            let all = watch.changed().await.unwrap();
            if all[0].lag.events.is_none() {
                break all[0].source_head;
            }
            assert_eq!(all[0].lag.events, Some(0));
        }
    };
    let head = tokio::time::timeout(Duration::from_secs(30), forgotten).await;
    assert_eq!(head.expect("watchers are told"), None);
    let gone = net.until("us", "eu", "us", EdgeState::Unreachable).await;
    assert_eq!(gone.reason, "PeerUnreachable");
    assert_eq!(gone.lag.micros, None);
    assert_eq!(gone.progress, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_the_plan_of_the_peer_does_not_have_says_so() {
    let mut net = Net::planned(&["eu", "us"], Vec::new()).await;
    net.start("eu").await;
    net.edges.push(edge("eu", "us"));
    net.start("us").await;
    let refused = net.until("us", "eu", "us", EdgeState::Rejected).await;
    assert_eq!(refused.reason, "EdgeNotAllowed");
    net.append("eu", "x").await;
    net.apply();
    net.settle(&["us"], 1).await;
    net.until("us", "eu", "us", EdgeState::Streaming).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_for_edges_that_do_not_exist_name_those_that_do() {
    let net = Net::running(&["eu", "us"], mesh(&["eu", "us"])).await;
    let error = net.replication("eu").cut(&key("us", "ap")).unwrap_err();
    assert!(error.to_string().contains("eu->us"), "{error}");
    assert!(net.replication("eu").cut(&key("ap", "us")).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_closes_its_sockets() {
    let mut net = Net::running(&["eu", "us"], mesh(&["eu", "us"])).await;
    let mut idle = TcpStream::connect(net.addresses["eu"]).await.unwrap();
    pause(50).await;
    tokio::time::timeout(Duration::from_secs(5), net.stop("eu"))
        .await
        .expect("stops although a peer and an idle connection are there");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut rest)).await;
    assert!(ended.is_ok());
}
