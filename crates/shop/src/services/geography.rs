//! The world that the shop ships to: real countries, and cities that are made by rule, so that a
//! thousand of them need no file.

/// A country: ISO code in lower case, name, middle, and half its height and width in degrees.
pub(super) struct Country {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    middle: (f64, f64),
    half_size: (f64, f64),
}

/// A city.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) region: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

const fn country(
    code: &'static str,
    name: &'static str,
    middle: (f64, f64),
    half_size: (f64, f64),
) -> Country {
    Country {
        code,
        name,
        middle,
        half_size,
    }
}

/// Where the shop ships to.
pub(super) const COUNTRIES: [Country; 20] = [
    country("at", "Austria", (47.6, 14.1), (0.8, 2.5)),
    country("au", "Australia", (-25.0, 134.0), (9.0, 16.0)),
    country("be", "Belgium", (50.6, 4.7), (0.6, 1.4)),
    country("br", "Brazil", (-10.0, -53.0), (12.0, 12.0)),
    country("ca", "Canada", (52.0, -97.0), (5.0, 28.0)),
    country("ch", "Switzerland", (46.8, 8.2), (0.6, 1.6)),
    country("cz", "Czechia", (49.8, 15.3), (0.7, 2.6)),
    country("de", "Germany", (51.0, 10.2), (2.8, 3.2)),
    country("dk", "Denmark", (55.9, 9.6), (1.0, 1.6)),
    country("es", "Spain", (40.2, -3.6), (2.8, 4.5)),
    country("fi", "Finland", (63.5, 26.0), (3.0, 3.0)),
    country("fr", "France", (46.6, 2.5), (3.2, 4.0)),
    country("gb", "United Kingdom", (53.0, -1.8), (2.4, 1.8)),
    country("in", "India", (21.5, 78.5), (7.5, 6.0)),
    country("it", "Italy", (43.0, 12.2), (3.0, 3.0)),
    country("jp", "Japan", (36.2, 138.2), (2.2, 2.4)),
    country("nl", "Netherlands", (52.2, 5.5), (0.9, 1.2)),
    country("pl", "Poland", (52.0, 19.3), (2.0, 4.0)),
    country("se", "Sweden", (60.5, 15.5), (4.0, 2.5)),
    country("us", "United States", (39.5, -98.0), (7.0, 20.0)),
];

const BEGINNINGS: [&str; 12] = [
    "Alder", "Birken", "Castel", "Dorn", "Eschen", "Feld", "Grün", "Hafen", "Iber", "Kron",
    "Linden", "Marien",
];
const ENDINGS: [&str; 5] = ["burg", "dorf", "ford", "mar", "ville"];
const REGIONS: [&str; 4] = ["North", "East", "South", "West"];

impl Country {
    /// Sixty cities, spread over the country by the golden ratio.
    pub(super) fn cities(&self) -> impl Iterator<Item = Place> + '_ {
        let names = BEGINNINGS
            .iter()
            .flat_map(|start| ENDINGS.iter().map(move |end| format!("{start}{end}")));
        let count = BEGINNINGS.len() * ENDINGS.len();
        names.enumerate().map(move |(index, name)| {
            let down = (index as f64 + 0.5) / count as f64;
            let across = (index as f64 * 0.618_033_988_75).fract();
            let offset = |share: f64, half: f64| (2.0 * share - 1.0) * half;
            Place {
                name,
                region: REGIONS[index % REGIONS.len()].to_owned(),
                latitude: thousandths(self.middle.0 + offset(down, self.half_size.0)),
                longitude: thousandths(self.middle.1 + offset(across, self.half_size.1)),
            }
        })
    }
}

fn thousandths(degrees: f64) -> f64 {
    (degrees * 1e3).round() / 1e3
}

/// Latitude and longitude of the warehouse.
const HOME: (f64, f64) = (51.165, 7.069);
/// Mean radius of the Earth in km.
const EARTH_KM: f64 = 6_371.0;

/// Great-circle distance from the warehouse, in whole km.
pub(super) fn distance_from_home_km(latitude: f64, longitude: f64) -> i64 {
    let (lat1, lat2) = (HOME.0.to_radians(), latitude.to_radians());
    let (dlat, dlon) = (lat2 - lat1, (longitude - HOME.1).to_radians());
    let a = (dlat / 2.0).sin().powi(2) + lat1.cos() * lat2.cos() * (dlon / 2.0).sin().powi(2);
    (2.0 * EARTH_KM * a.sqrt().min(1.0).asin()).round() as i64
}

/// What shipping costs: 5 cents a km.
pub(super) fn cost(distance_km: i64) -> f64 {
    (distance_km * 5) as f64 / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_country_has_sixty_cities_of_different_names_inside_it() {
        for country in COUNTRIES {
            let cities: Vec<_> = country.cities().collect();
            assert_eq!(cities.len(), 60);
            let names: HashSet<_> = cities.iter().map(|c| &c.name).collect();
            assert_eq!(names.len(), 60);
            for city in &cities {
                assert!((city.latitude - country.middle.0).abs() <= country.half_size.0 + 1e-3);
                assert!((city.longitude - country.middle.1).abs() <= country.half_size.1 + 1e-3);
            }
        }
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        assert_eq!(distance_from_home_km(HOME.0, HOME.1), 0);
        // A quarter of the globe to the pole, less what is there already.
        let to_pole = (90.0 - HOME.0).to_radians() * EARTH_KM;
        assert_eq!(distance_from_home_km(90.0, 0.0), to_pole.round() as i64);
        assert_eq!(cost(123), 6.15);
    }

    proptest! {
        #[test]
        fn no_place_is_farther_than_half_way_round(lat in -90.0..90.0f64, lon in -180.0..180.0f64) {
            let distance = distance_from_home_km(lat, lon);
            prop_assert!((0..=20_016).contains(&distance));
        }
    }
}
